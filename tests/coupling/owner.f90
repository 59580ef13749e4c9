!> A host that opens an emulator again and again, and copies it.
program owner
   use, intrinsic :: iso_fortran_env, only: int32, real32
   use sciml_mskf, only: sciml_emulator, sciml_mskf_finalise, sciml_mskf_init, sciml_mskf_run
   implicit none(type, external)
   type(sciml_emulator) :: first, second
   character(len=300) :: message, path
   integer :: status, worst, i

   call get_command_argument(1, path)
   worst = 0
   do i = 1, 700
      call sciml_mskf_init(path, first, status, message)
      worst = max(worst, status)
   end do
   print "(i0, 1x, a)", worst, trim(message)
   second = first
   first = first
   call run("first", first)
   call run("second", second)
   call sciml_mskf_init(path, second, status, message)
   second = first
   call run("second again", second)
   call sciml_mskf_init("nowhere.nc", first, status, message)
   call run("first after a failure", first)
   call sciml_mskf_finalise(first)
   call sciml_mskf_finalise(second)

contains

   !> Status 1: not open. Status 4: open, with a bare network.
   subroutine run(name, emulator)
      character(len=*), intent(in) :: name
      type(sciml_emulator), intent(in) :: emulator
      real(real32) :: a(1, 44, 1), b(1, 44, 1), s(1, 1), x(1, 1)
      integer(int32) :: kind_of(1, 1)
      a = 1
      b = 0
      s = -100
      x = 0
      call sciml_mskf_run(emulator, a, a, a, a, a, a, a, a, a, x, x, x, x, 10000.0_real32, 50.0_real32, &
                          5.0_real32, s, b, b, b, b, b, b, b, b, b, b, b, b, s, s, s, kind_of, s, 1, 1, 1, &
                          1, 1, 44, 1, 1, 1, 1, 1, 44, status, message)
      print "(a, a, i0)", name, ": ", status
   end subroutine run

end program owner
