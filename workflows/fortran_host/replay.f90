!> A host like WRF: it replays a stream of columns through libsciml_mskf.so, tile by tile.
!>
!>     gfortran -O2 -fopenmp -o replay DIR/sciml_mskf.f90 replay.f90 DIR/libsciml_mskf.so -Wl,-rpath,DIR
!>     ./replay DIR/mskf.nc INPUT OUTPUT TILE_I TILE_J THREADS
!>
!> DIR is the folder that `sciml coupling build -o DIR MODEL` made. `sciml coupling replay DIR WRFOUT` writes
!> INPUT, runs the commands above and compares OUTPUT with torch. A tile has at most TILE_I x TILE_J columns;
!> 0 means the whole domain.
!>
!> INPUT and OUTPUT are raw streams in native byte order, without record markers:
!>   20 integers of 4 bytes: 1396919628, 1, records, ids, ide, jds, jde, kds, kde, ims, ime, jms, jme, kms,
!>   kme, and five zeros, where kds:kde are the mass levels, the lowest first;
!>   3 reals of 4 bytes: DX (m), DT (s), CUDT (min);
!>   in each record, whole fields of 4-byte reals, (ims:ime,kms:kme,jms:jme) or (ims:ime,jms:jme).
! generated from sciml/schemes/mskf.py: do not edit (stream)
!>   INPUT: U V T QV P_HYD DZ8W RHO PI W0AVG, ZOL HFX UST PBLH, NCA.
!>   OUTPUT: RTHCUTEN RQVCUTEN RQCCUTEN RQRCUTEN RQICUTEN RQSCUTEN RUCUTEN RVCUTEN CLDFRA_DP CLDFRA_SH
!>     QC_CU QI_CU, PRATEC NCA CUTOP CUBOT NOVELTY, KIND (4-byte integers).
! end of the generated part
!> Values of OUTPUT that the library did not set are -777.
program replay
   use, intrinsic :: iso_fortran_env, only: error_unit, int32, int64, real32
   use sciml_mskf, only: sciml_emulator, sciml_mskf_finalise, sciml_mskf_init, sciml_mskf_run
   implicit none(type, external)

   integer(int32), parameter :: magic = 1396919628_int32
   real(real32), parameter :: untouched = -777.0_real32
   ! generated from sciml/schemes/mskf.py: do not edit (indices)
   integer, parameter :: profiles_in = 9, surfaces_in = 4, profiles_out = 12, surfaces_out = 5
   integer, parameter :: in_u = 1, in_v = 2, in_t = 3, in_qv = 4, in_p_hyd = 5, in_dz8w = 6, &
                         in_rho = 7, in_pi = 8, in_w0avg = 9
   integer, parameter :: in_zol = 1, in_hfx = 2, in_ust = 3, in_pblh = 4
   integer, parameter :: out_rthcuten = 1, out_rqvcuten = 2, out_rqccuten = 3, out_rqrcuten = 4, &
                         out_rqicuten = 5, out_rqscuten = 6, out_rucuten = 7, out_rvcuten = 8, &
                         out_cldfra_dp = 9, out_cldfra_sh = 10, out_qc_cu = 11, out_qi_cu = 12
   integer, parameter :: out_pratec = 1, out_nca = 2, out_cutop = 3, out_cubot = 4, out_novelty = 5
   ! end of the generated part

   type(sciml_emulator) :: emulator
   character(len=1024) :: weights, input, output, word
   character(len=512) :: message, text
   integer(int32) :: header(20)
   integer :: ids, ide, jds, jde, kds, kde, ims, ime, jms, jme, kms, kme
   integer :: tile_i, tile_j, threads, tiles_i, tiles_j, tile, record, status, worst
   integer :: its, ite, jts, jte, reader, writer
   integer(int64) :: begin, finish, rate, ticks
   real(real32) :: settings(3)
   ! The last index is the field: each field has the memory layout of WRF.
   real(real32), allocatable :: in3(:, :, :, :), in2(:, :, :), out3(:, :, :, :), out2(:, :, :)
   integer(int32), allocatable :: kind_of(:, :)

   if (command_argument_count() /= 6) call give_up("give WEIGHTS INPUT OUTPUT TILE_I TILE_J THREADS")
   call get_command_argument(1, weights)
   call get_command_argument(2, input)
   call get_command_argument(3, output)
   call number(4, tile_i)
   call number(5, tile_j)
   call number(6, threads)

   open (newunit=reader, file=trim(input), access="stream", form="unformatted", action="read", status="old", &
         iostat=status)
   if (status /= 0) call give_up("cannot open "//trim(input))
   read (reader, iostat=status) header, settings
   if (status /= 0 .or. header(1) /= magic .or. header(2) /= 1) then
      call give_up(trim(input)//" is no stream of columns of this version and byte order")
   end if
   ids = header(4)
   ide = header(5)
   jds = header(6)
   jde = header(7)
   kds = header(8)
   kde = header(9)
   ims = header(10)
   ime = header(11)
   jms = header(12)
   jme = header(13)
   kms = header(14)
   kme = header(15)
   allocate (in3(ims:ime, kms:kme, jms:jme, profiles_in), stat=status)
   if (status == 0) allocate (in2(ims:ime, jms:jme, surfaces_in), stat=status)
   if (status == 0) allocate (out3(ims:ime, kms:kme, jms:jme, profiles_out), stat=status)
   if (status == 0) allocate (out2(ims:ime, jms:jme, surfaces_out), stat=status)
   if (status == 0) allocate (kind_of(ims:ime, jms:jme), stat=status)
   if (status /= 0) call give_up("no memory for the fields")

   call sciml_mskf_init(weights, emulator, status, message)
   if (status /= 0) call give_up(message)
   open (newunit=writer, file=trim(output), access="stream", form="unformatted", action="write", &
         status="replace", iostat=status)
   if (status /= 0) call give_up("cannot write "//trim(output))
   write (writer, iostat=status) header, settings
   if (status /= 0) call give_up("cannot write "//trim(output)//": is the disk full?")

   if (tile_i < 1) tile_i = ide - ids + 1
   if (tile_j < 1) tile_j = jde - jds + 1
   tiles_i = (ide - ids)/tile_i + 1
   tiles_j = (jde - jds)/tile_j + 1
   worst = 0
   text = ""
   ticks = 0
   do record = 1, header(3)
      out3 = untouched
      out2 = untouched
      kind_of = int(untouched, int32)
      read (reader, iostat=status) in3, in2, out2(:, :, out_nca)
      if (status /= 0) call give_up(trim(input)//" ends too early: write it again")
      call system_clock(begin, rate)
      !$omp parallel do default(shared) private(tile, its, ite, jts, jte, status, message) schedule(dynamic) &
      !$omp num_threads(threads)
      do tile = 0, tiles_i*tiles_j - 1
         its = ids + modulo(tile, tiles_i)*tile_i
         jts = jds + tile/tiles_i*tile_j
         ite = min(its + tile_i - 1, ide)
         jte = min(jts + tile_j - 1, jde)
         ! generated from sciml/schemes/mskf.py: do not edit (call)
         call sciml_mskf_run(emulator, in3(:, :, :, in_u), in3(:, :, :, in_v), in3(:, :, :, in_t), &
                             in3(:, :, :, in_qv), in3(:, :, :, in_p_hyd), in3(:, :, :, in_dz8w), &
                             in3(:, :, :, in_rho), in3(:, :, :, in_pi), in3(:, :, :, in_w0avg), &
                             in2(:, :, in_zol), in2(:, :, in_hfx), in2(:, :, in_ust), &
                             in2(:, :, in_pblh), settings(1), settings(2), settings(3), &
                             out2(:, :, out_nca), out3(:, :, :, out_rthcuten), &
                             out3(:, :, :, out_rqvcuten), out3(:, :, :, out_rqccuten), &
                             out3(:, :, :, out_rqrcuten), out3(:, :, :, out_rqicuten), &
                             out3(:, :, :, out_rqscuten), out3(:, :, :, out_rucuten), &
                             out3(:, :, :, out_rvcuten), out3(:, :, :, out_cldfra_dp), &
                             out3(:, :, :, out_cldfra_sh), out3(:, :, :, out_qc_cu), &
                             out3(:, :, :, out_qi_cu), out2(:, :, out_pratec), &
                             out2(:, :, out_cutop), out2(:, :, out_cubot), kind_of, &
                             out2(:, :, out_novelty), ims, ime, jms, jme, kms, kme, its, ite, jts, &
                             jte, kds, kde, status, message)
         ! end of the generated part
         if (status /= 0 .or. message /= "") then
            !$omp critical
            worst = max(worst, status)
            text = message
            !$omp end critical
         end if
      end do
      !$omp end parallel do
      call system_clock(finish)
      ticks = ticks + finish - begin
      if (worst /= 0) call give_up(text)
      write (writer, iostat=status) out3, out2, kind_of
      if (status /= 0) call give_up("cannot write "//trim(output)//": is the disk full?")
   end do
   close (writer, iostat=status)
   if (status /= 0) call give_up("cannot write "//trim(output)//": is the disk full?")
   call sciml_mskf_finalise(emulator)
   if (text /= "") print "(a)", "message of the library: "//trim(text)
   print "(i0, a, i0, a, i0, a, f0.2, a)", header(3), " records of ", tiles_i*tiles_j, " tiles, ", threads, &
      " threads: ", real(ticks)/real(rate)*1.0e6/real(header(3)*(ide - ids + 1)*(jde - jds + 1)), &
      " us a column"

contains

   !> Read an integer argument of the command line.
   subroutine number(position, value)
      integer, intent(in) :: position
      integer, intent(out) :: value
      integer :: trouble
      call get_command_argument(position, word)
      read (word, *, iostat=trouble) value
      if (trouble /= 0) call give_up(trim(word)//" is no whole number")
   end subroutine number

   !> Stop with a message. The library never stops its host; this example host does.
   subroutine give_up(why)
      character(len=*), intent(in) :: why
      write (error_unit, "(a)") "replay: "//trim(why)
      stop 1, quiet=.true.
   end subroutine give_up

end program replay
