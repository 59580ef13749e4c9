!> Three external procedures that WRF has too: what a library may call to speak and to stop as its host does.
!> External, as WRF's are: their symbols are wrf_message_ and so on.

!> The number of this rank.
! allow(C092)
subroutine wrf_get_myproc(rank)
   use standin_ranks, only: me
   implicit none(type, external)
   integer, intent(out) :: rank
   rank = me
end subroutine wrf_get_myproc

!> Print a line.
! allow(C092)
subroutine wrf_message(text)
   use, intrinsic :: iso_fortran_env, only: output_unit
   implicit none(type, external)
   character(len=*), intent(in) :: text
   !$omp critical(host_speaks)
   write (output_unit, "(a)") trim(text)
   flush (output_unit)
   !$omp end critical(host_speaks)
end subroutine wrf_message

!> Print a line and end all ranks with status 9.
! allow(C092)
subroutine wrf_error_fatal(text)
   use, intrinsic :: iso_fortran_env, only: output_unit
   use standin_ranks, only: end_all_ranks
   implicit none(type, external)
   character(len=*), intent(in) :: text
   ! never left: one thread ends the run, the others wait
   !$omp critical(host_speaks)
   write (output_unit, "(a)") "FATAL: "//trim(text)
   flush (output_unit)
   call end_all_ranks(9)
   !$omp end critical(host_speaks)
end subroutine wrf_error_fatal
