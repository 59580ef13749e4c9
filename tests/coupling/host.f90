!> A host that does everything wrong first and goes on.
program host
   use, intrinsic :: iso_fortran_env, only: int32, real32
   use sciml_mskf, only: sciml_emulator, sciml_mskf_finalise, sciml_mskf_init, sciml_mskf_run
   implicit none(type, external)
   integer, parameter :: ni = 5, nk = 44, nj = 3
   real(real32), dimension(0:ni + 1, nk + 1, 0:nj + 1) :: f3
   real(real32), dimension(0:ni + 1, 0:nj + 1) :: f2
   integer(int32), dimension(0:ni + 1, 0:nj + 1) :: kind_of
   type(sciml_emulator) :: emulator
   character(len=300) :: message, path
   integer :: status

   f3 = 1.0_real32
   f2 = 1.0_real32
   kind_of = 0
   call sciml_mskf_init("nowhere.nc", emulator, status, message)
   print "(i0, 1x, a)", status, trim(message)
   call run()
   call get_command_argument(1, path)
   call sciml_mskf_init(path, emulator, status, message)
   print "(i0, 1x, a)", status, trim(message)
   call run()
   call sciml_mskf_finalise(emulator)
   call sciml_mskf_finalise(emulator)

contains

   subroutine run()
      real(real32), dimension(0:ni + 1, nk + 1, 0:nj + 1) :: p1, p2, p3, p4, p5, p6, p7, p8, p9, pa, pb, pc
      real(real32), dimension(0:ni + 1, 0:nj + 1) :: s1, s2, s3, s4, s5
      p1 = 0
      p2 = 0
      p3 = 0
      p4 = 0
      p5 = 0
      p6 = 0
      p7 = 0
      p8 = 0
      p9 = 0
      pa = 0
      pb = 0
      pc = 0
      s1 = -100
      s2 = 0
      s3 = 0
      s4 = 0
      s5 = 0
      call sciml_mskf_run(emulator, f3, f3, f3, f3, f3, f3, f3, f3, f3, f2, f2, f2, f2, &
                          10000.0_real32, 50.0_real32, 5.0_real32, s1, p1, p2, p3, p4, p5, p6, p7, p8, &
                          p9, pa, pb, pc, s2, s3, s4, kind_of, s5, 0, ni + 1, 0, nj + 1, 1, nk + 1, &
                          1, ni, 1, nj, 1, nk, status, message)
      print "(i0, 1x, a)", status, trim(message)
   end subroutine run

end program host
