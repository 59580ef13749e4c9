!> Run the warm-rain emulator on random columns for some steps, and print the residuals of its closures.
!>
!>     gfortran sciml_column.f90 host.f90 -lsciml_mskf -o host && ./host kessler.nc columns.bin
!>
!> columns.bin has three default integers (columns, levels, steps) and the inputs of the declaration in
!> double precision, as written by `python -m workflows.kessler.columns`.
program host
   use, intrinsic :: iso_fortran_env, only: int32, real64
   use sciml_column, only: sciml_column_finalise, sciml_column_init, sciml_column_run, sciml_scheme
   implicit none(type, external)
   integer, parameter :: theta = 1, qv = 2, qc = 3, qr = 4, exner = 6, mass = 7
   real(real64), parameter :: cp = 1004.5_real64, lv = 2.5e6_real64
   type(sciml_scheme) :: scheme
   real(real64), allocatable :: in3(:, :, :), in2(:, :), out3(:, :, :), out2(:, :)
   real(real64), allocatable :: water(:), fallen(:), first(:)
   real(real64) :: heat, least
   integer(int32) :: sizes(3)
   integer :: unit, status, step, field
   character(len=400) :: weights, columns, message

   call get_command_argument(1, weights)
   call get_command_argument(2, columns)
   call sciml_column_init(weights, "kessler", scheme, status, message)
   if (status /= 0) call fail(message)
   open (newunit=unit, file=columns, access="stream", form="unformatted", status="old", action="read")
   read (unit) sizes
   allocate (in3(sizes(1), sizes(2), scheme%fields(1)), in2(sizes(1), scheme%fields(2)))
   allocate (out3(sizes(1), sizes(2), scheme%fields(3)), out2(sizes(1), scheme%fields(4)))
   read (unit) in3, in2
   close (unit)

   first = total(in3)
   allocate (fallen(sizes(1)), source=0.0_real64)
   heat = 0.0_real64
   do step = 1, sizes(3)
      call sciml_column_run(scheme, in3, in2, out3, out2, status, message)
      if (status /= 0 .or. message /= "") call fail(message)
      heat = max(heat, maxval(abs(cp*in3(:, :, exner)*out3(:, :, theta) + lv*out3(:, :, qv)))/lv)
      do field = theta, qr
         in3(:, :, field) = in3(:, :, field) + spread(in2(:, 1), 2, sizes(2))*out3(:, :, field)
      end do
      fallen = fallen + in2(:, 1)*out2(:, 1)
   end do
   least = minval(in3(:, :, qv:qr))
   water = abs(total(in3) + fallen - first)/first
   write (*, "(a, i0, a, i0, a)") "columns: ", sizes(1), ", steps: ", sizes(3), ""
   write (*, "(a, es9.2)") "rain, kg m-2, mean:              ", sum(fallen)/sizes(1)
   write (*, "(a, es9.2)") "water, largest relative residual: ", maxval(water)
   write (*, "(a, es9.2)") "heat, largest residual over Lv:   ", heat
   write (*, "(a, es9.2)") "least mixing ratio:               ", least
   call sciml_column_finalise(scheme)

contains

   !> Vapour, cloud water and rain of the columns in kg m-2.
   pure function total(state) result(sums)
      real(real64), intent(in) :: state(:, :, :)
      real(real64) :: sums(size(state, 1))
      sums = sum((state(:, :, qv) + state(:, :, qc) + state(:, :, qr))*state(:, :, mass), dim=2)
   end function total

   subroutine fail(text)
      character(len=*), intent(in) :: text
      write (*, "(a)") trim(text)
      error stop 1
   end subroutine fail

end program host
