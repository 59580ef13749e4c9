!> History as WRF writes it: netCDF in its classic form with 64-bit offsets, a file a rank, written by hand.
!>
!> The format: a header of big-endian words (dimensions, attributes, variables with the place of their first
!> record), then the records, each with its part of every variable.
module standin_history
   use, intrinsic :: iso_fortran_env, only: int32, int64, real32
   use standin_fields, only: f_w, f_w_mean, name_length, profile_names, profile_units, surface_names, &
                             surface_units, surfaces
   implicit none(type, external)
   private
   public :: begin_history, end_history, history, write_record

   integer(int32), parameter :: dimensions = 10, variables = 11, attributes = 12 ! the format's tags
   integer(int32), parameter :: characters = 2, integers = 4, reals = 5
   integer, parameter :: records_at = 5 ! the place of the number of records
   integer, parameter :: time = 0, levels = 1, staggered = 2, south_north = 3, west_east = 4

   type :: history
      integer :: unit = -1
      integer :: records = 0
      integer :: ni, nj, nk
      integer :: first_i, first_j
      integer(int64) :: place ! of the next variable's first record
   end type history

contains

   subroutine begin_history(h, path, settings)
      type(history), intent(inout) :: h
      character(len=*), intent(in) :: path
      real(real32), intent(in) :: settings(3)
      integer(int64) :: size_of_header
      open (newunit=h%unit, file=path, access="stream", form="unformatted", action="readwrite", &
            status="replace", convert="big_endian")
      h%records = 0
      call header(h, settings, 0_int64)
      inquire (unit=h%unit, pos=size_of_header)
      call header(h, settings, size_of_header - 1)
   end subroutine begin_history

   subroutine end_history(h)
      type(history), intent(inout) :: h
      close (h%unit)
   end subroutine end_history

   !> The header, with the first record behind `data_at` bytes.
   subroutine header(h, settings, data_at)
      type(history), intent(inout) :: h
      real(real32), intent(in) :: settings(3)
      integer(int64), intent(in) :: data_at
      integer :: n
      h%place = data_at
      write (h%unit, pos=1) "CDF"//achar(2), 0_int32, dimensions, 5_int32
      call dimension(h, "Time", 0)
      call dimension(h, "bottom_top", h%nk)
      call dimension(h, "bottom_top_stag", h%nk + 1)
      call dimension(h, "south_north", h%nj)
      call dimension(h, "west_east", h%ni)
      write (h%unit) attributes, 5_int32
      call word(h, "DX")
      write (h%unit) reals, 1_int32, settings(1)
      call word(h, "DT")
      write (h%unit) reals, 1_int32, settings(2)
      call word(h, "CUDT")
      write (h%unit) reals, 1_int32, settings(3)
      call word(h, "WEST-EAST_PATCH_START_UNSTAG")
      write (h%unit) integers, 1_int32, int(h%first_i, int32)
      call word(h, "SOUTH-NORTH_PATCH_START_UNSTAG")
      write (h%unit) integers, 1_int32, int(h%first_j, int32)
      write (h%unit) variables, int(1 + surfaces + size(profile_names), int32)
      call variable(h, "ITIMESTEP", "1", integers, [time], 1)
      do n = 1, surfaces
         call variable(h, trim(surface_names(n)), trim(surface_units(n)), reals, &
                       [time, south_north, west_east], h%ni*h%nj)
      end do
      do n = 1, size(profile_names)
         call variable(h, trim(profile_names(n)), trim(profile_units(n)), reals, &
                       [time, merge(staggered, levels, on_faces(n)), south_north, west_east], &
                       h%ni*h%nj*depth(h, n))
      end do
   end subroutine header

   !> Whether a field is on the faces of the levels.
   pure logical function on_faces(n)
      integer, intent(in) :: n
      on_faces = n == f_w .or. n == f_w_mean
   end function on_faces

   pure integer function depth(h, n)
      type(history), intent(in) :: h
      integer, intent(in) :: n
      depth = h%nk + merge(1, 0, on_faces(n))
   end function depth

   subroutine word(h, text)
      type(history), intent(in) :: h
      character(len=*), intent(in) :: text
      write (h%unit) int(len(text), int32), text, repeat(achar(0), modulo(-len(text), 4))
   end subroutine word

   subroutine dimension(h, name, length)
      type(history), intent(in) :: h
      character(len=*), intent(in) :: name
      integer, intent(in) :: length
      call word(h, name)
      write (h%unit) int(length, int32)
   end subroutine dimension

   subroutine variable(h, name, units, kind_of, along, values)
      type(history), intent(inout) :: h
      character(len=*), intent(in) :: name, units
      integer(int32), intent(in) :: kind_of
      integer, intent(in) :: along(:), values
      call word(h, name)
      write (h%unit) int(size(along), int32), int(along, int32), attributes, 1_int32
      call word(h, "units")
      write (h%unit) characters
      call word(h, units)
      write (h%unit) kind_of, int(4*values, int32), h%place
      h%place = h%place + 4*values
   end subroutine variable

   !> One record of all fields, which have no halo here.
   subroutine write_record(h, step, plane, profile)
      type(history), intent(inout) :: h
      integer, intent(in) :: step
      real(real32), contiguous, intent(in) :: plane(:, :, :) ! (i, j, field)
      real(real32), contiguous, intent(in) :: profile(:, :, :, :) ! (i, j, k, field)
      integer :: n
      inquire (unit=h%unit, size=h%place)
      write (h%unit, pos=h%place + 1) int(step, int32), plane
      do n = 1, size(profile_names)
         write (h%unit) profile(:, :, :depth(h, n), n)
      end do
      h%records = h%records + 1
      write (h%unit, pos=records_at) int(h%records, int32)
      flush (h%unit)
   end subroutine write_record

end module standin_history
