!> Columns in radiative-convective equilibrium, in which the emulator is the only convection.
!>
!>     gfortran -O2 -fopenmp -o column_host DIR/sciml_mskf.f90 column_physics.f90 column_domain.f90 \
!>        column_steps.f90 column_host.f90 DIR/libsciml_mskf.so -Wl,-rpath,DIR
!>     ./column_host DIR/mskf.nc INPUT OUTPUT STATE FIRST LAST THREADS
!>
!> DIR is the folder that `sciml coupling build -o DIR MODEL` made. `sciml coupling rce DIR` writes INPUT,
!> runs the commands above and reads OUTPUT; column_domain.f90 describes both formats. Steps FIRST to LAST are
!> run. With FIRST > 1 the run starts from STATE; the final state is written to STATE. A run in several parts,
!> or with another number of threads, has the same bits.
program column_host
   use, intrinsic :: iso_fortran_env, only: error_unit, int32, int64
   use column_domain, only: domain, read_input, read_state, write_record, write_state
   use column_steps, only: advance
   use sciml_mskf, only: sciml_emulator, sciml_mskf_finalise, sciml_mskf_init
   implicit none(type, external)

   type(domain) :: d
   type(sciml_emulator) :: emulator
   character(len=1024) :: weights, input, output, state, word
   character(len=512) :: message
   character(len=:), allocatable :: complaint
   integer(int32) :: header(20)
   integer :: first, last, threads, step, status, writer
   integer(int64) :: begin, finish, rate

   if (command_argument_count() /= 7) call give_up("give WEIGHTS INPUT OUTPUT STATE FIRST LAST THREADS")
   call get_command_argument(1, weights)
   call get_command_argument(2, input)
   call get_command_argument(3, output)
   call get_command_argument(4, state)
   call number(5, first)
   call number(6, last)
   call number(7, threads)

   call read_input(trim(input), d, header, complaint)
   if (complaint /= "") call give_up(complaint)
   if (first < 1 .or. last > d%steps .or. last < first .or. threads < 1) then
      write (word, "(a, i0, a)") "steps FIRST to LAST are to lie within 1 to ", d%steps, ", THREADS above 0"
      call give_up(trim(word))
   end if
   if (first > 1) then
      call read_state(trim(state), d, complaint)
      if (complaint == "" .and. d%step /= first - 1) complaint = trim(state)//" is not the state before FIRST"
      if (complaint /= "") call give_up(complaint)
   end if
   call sciml_mskf_init(weights, emulator, status, message)
   if (status /= 0) call give_up(message)
   open (newunit=writer, file=trim(output), access="stream", form="unformatted", action="write", &
         status="replace", iostat=status)
   if (status == 0) write (writer, iostat=status) header
   if (status == 0 .and. first == 1) call write_record(writer, d, status)
   if (status /= 0) call give_up("cannot write "//trim(output))

   threads = min(threads, d%members)
   call system_clock(begin, rate)
   step = first - 1
   do while (step < last)
      call do_steps(step + 1, min(last, step - modulo(step, d%interval) + d%interval))
      step = d%step
      if (modulo(step, d%interval) /= 0) cycle
      call write_record(writer, d, status)
      if (status /= 0) call give_up("cannot write "//trim(output)//": is the disk full?")
   end do
   call system_clock(finish)
   close (writer, iostat=status)
   if (status /= 0) call give_up("cannot write "//trim(output)//": is the disk full?")
   call write_state(trim(state), d, status)
   if (status /= 0) call give_up("cannot write "//trim(state)//": is the disk full?")
   call sciml_mskf_finalise(emulator)
   print "(i0, a, i0, a, i0, a, f0.1, a)", last - first + 1, " steps of ", d%members, " columns, ", threads, &
      " threads: ", real(finish - begin)/real(rate), " s"

contains

   !> Run steps with the members distributed over the threads. Members are independent, so that no thread
   !> waits for another before the last step.
   subroutine do_steps(from, to)
      integer, intent(in) :: from, to
      character(len=512) :: text, worst
      integer :: now, tile, trouble, troubles

      troubles = 0
      worst = ""
      !$omp parallel do default(shared) private(tile, now, trouble, text) schedule(static) &
      !$omp num_threads(threads)
      do tile = 0, threads - 1
         do now = from, to
            call advance(d, emulator, now, 1 + tile*d%members/threads, (tile + 1)*d%members/threads, &
                         trouble, text)
            if (trouble /= 0) exit
         end do
         if (trouble /= 0) then
            !$omp critical
            troubles = trouble
            worst = text
            !$omp end critical
         end if
      end do
      !$omp end parallel do
      if (troubles /= 0) call give_up(worst)
      d%step = to
   end subroutine do_steps

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
      write (error_unit, "(a)") "column_host: "//trim(why)
      stop 1, quiet=.true.
   end subroutine give_up

end program column_host
