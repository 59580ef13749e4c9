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
!>   INPUT: U V T QV P_HYD DZ8W RHO PI W0AVG, ZOL HFX UST PBLH, NCA.
!>   OUTPUT: RTHCUTEN RQVCUTEN RQCCUTEN RQRCUTEN RQICUTEN RQSCUTEN RUCUTEN RVCUTEN CLDFRA_DP CLDFRA_SH QC_CU
!>   QI_CU, PRATEC NCA CUTOP CUBOT NOVELTY, KIND (4-byte integers). Values not set by the library are -777.
program replay
   use, intrinsic :: iso_fortran_env, only: error_unit, int32, int64, real32
   use sciml_mskf, only: sciml_emulator, sciml_mskf_finalise, sciml_mskf_init, sciml_mskf_run
   implicit none(type, external)

   integer(int32), parameter :: magic = 1396919628_int32
   real(real32), parameter :: untouched = -777.0_real32
   integer, parameter :: profiles_in = 9, surfaces_in = 4, profiles_out = 12, surfaces_out = 5
   integer, parameter :: nca = 2 ! index among the surface outputs

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
      read (reader, iostat=status) in3, in2, out2(:, :, nca)
      if (status /= 0) call give_up(trim(input)//" ends too early: write it again")
      call system_clock(begin, rate)
      !$omp parallel do default(shared) private(tile, its, ite, jts, jte, status, message) schedule(dynamic) &
      !$omp num_threads(threads)
      do tile = 0, tiles_i*tiles_j - 1
         its = ids + modulo(tile, tiles_i)*tile_i
         jts = jds + tile/tiles_i*tile_j
         ite = min(its + tile_i - 1, ide)
         jte = min(jts + tile_j - 1, jde)
         call sciml_mskf_run(emulator, in3(:, :, :, 1), in3(:, :, :, 2), in3(:, :, :, 3), in3(:, :, :, 4), &
                             in3(:, :, :, 5), in3(:, :, :, 6), in3(:, :, :, 7), in3(:, :, :, 8), &
                             in3(:, :, :, 9), in2(:, :, 1), in2(:, :, 2), in2(:, :, 3), in2(:, :, 4), &
                             settings(1), settings(2), settings(3), out2(:, :, nca), out3(:, :, :, 1), &
                             out3(:, :, :, 2), out3(:, :, :, 3), out3(:, :, :, 4), out3(:, :, :, 5), &
                             out3(:, :, :, 6), out3(:, :, :, 7), out3(:, :, :, 8), out3(:, :, :, 9), &
                             out3(:, :, :, 10), out3(:, :, :, 11), out3(:, :, :, 12), out2(:, :, 1), &
                             out2(:, :, 3), out2(:, :, 4), kind_of, out2(:, :, 5), ims, ime, jms, jme, &
                             kms, kme, its, ite, jts, jte, kds, kde, status, message)
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
