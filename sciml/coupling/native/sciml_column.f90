!> The Fortran interface of an emulator of a declared column scheme in libsciml_mskf: init, run, finalise.
!>
!> Each procedure returns a status (0 is success) and a message. A scheme is read-only after
!> sciml_column_init, so the threads of a host may share it. Compile this file with the host's own compiler
!> and link libsciml_mskf.so.
module sciml_column
   use, intrinsic :: iso_c_binding, only: c_associated, c_char, c_double, c_int32_t, c_int64_t, &
      c_null_char, c_null_ptr, c_ptr, c_size_t
   implicit none(type, external)
   private
   public :: sciml_scheme, sciml_column_init, sciml_column_run, sciml_column_finalise

   !> An open weights file. It has one owner: do not copy it, but pass it on.
   type :: sciml_scheme
      private
      type(c_ptr) :: handle = c_null_ptr
      !> Numbers of input profiles, input scalars, output profiles and output scalars.
      integer(c_int32_t), public :: fields(4) = 0_c_int32_t
   end type sciml_scheme

   integer, parameter :: message_size = 512

   interface
      function c_init(path, name, handle, message, length) bind(C, name="sciml_column_init") &
         result(status)
         import :: c_char, c_int32_t, c_ptr, c_size_t
         implicit none(type, external)
         ! allow(C071)
         character(kind=c_char), intent(in) :: path(*), name(*)
         type(c_ptr), intent(out) :: handle
         ! allow(C071, C072)
         character(kind=c_char), intent(inout) :: message(*)
         integer(c_size_t), intent(in), value :: length
         integer(c_int32_t) :: status
      end function c_init

      function c_describe(handle, fields, message, length) &
         bind(C, name="sciml_column_describe") result(status)
         import :: c_char, c_int32_t, c_ptr, c_size_t
         implicit none(type, external)
         type(c_ptr), intent(in), value :: handle
         integer(c_int32_t), intent(out) :: fields(4)
         ! allow(C071, C072)
         character(kind=c_char), intent(inout) :: message(*)
         integer(c_size_t), intent(in), value :: length
         integer(c_int32_t) :: status
      end function c_describe

      function c_run(handle, columns, levels, in3, in2, out3, out2, threads, message, length) &
         bind(C, name="sciml_column_run") result(status)
         import :: c_char, c_double, c_int32_t, c_int64_t, c_ptr, c_size_t
         implicit none(type, external)
         type(c_ptr), intent(in), value :: handle
         integer(c_int64_t), intent(in), value :: columns
         integer(c_int32_t), intent(in), value :: levels, threads
         ! allow(C071)
         real(c_double), intent(in) :: in3(*), in2(*)
         ! allow(C071)
         real(c_double), intent(inout) :: out3(*), out2(*)
         ! allow(C071, C072)
         character(kind=c_char), intent(inout) :: message(*)
         integer(c_size_t), intent(in), value :: length
         integer(c_int32_t) :: status
      end function c_run

      subroutine c_finalise(handle) bind(C, name="sciml_column_finalise")
         import :: c_ptr
         implicit none(type, external)
         type(c_ptr), intent(inout) :: handle
      end subroutine c_finalise
   end interface

contains

   !> Open a weights file of the scheme with this name.
   subroutine sciml_column_init(path, name, scheme, status, message)
      ! allow(C072)
      character(len=*), intent(in) :: path, name
      type(sciml_scheme), intent(inout) :: scheme
      integer, intent(out) :: status
      ! allow(C072)
      character(len=*), intent(out) :: message
      character(kind=c_char) :: text(message_size)

      call sciml_column_finalise(scheme)
      text(1) = c_null_char
      status = int(c_init(c_text(path), c_text(name), scheme%handle, text, int(message_size, c_size_t)))
      if (status == 0) status = int(c_describe(scheme%handle, scheme%fields, text, &
                                               int(message_size, c_size_t)))
      call copy_message(text, message)
   end subroutine sciml_column_init

   !> Run the emulator on all columns of the arrays, with one thread.
   !>
   !> Fields have the order of the declaration, profiles and scalars apart; level 1 is the lowest. The
   !> closures of the scheme hold to round-off. message has the number of invalid columns, whose outputs are
   !> zero.
   subroutine sciml_column_run(scheme, in3, in2, out3, out2, status, message)
      type(sciml_scheme), intent(in) :: scheme
      !> (column, level, field) and (column, field)
      real(c_double), contiguous, intent(in) :: in3(:, :, :), in2(:, :)
      real(c_double), contiguous, intent(inout) :: out3(:, :, :), out2(:, :)
      integer, intent(out) :: status
      ! allow(C072)
      character(len=*), intent(out) :: message
      character(kind=c_char) :: text(message_size)
      character(len=200) :: line
      integer :: columns, levels

      columns = size(in3, 1)
      levels = size(in3, 2)
      if (.not. c_associated(scheme%handle)) then
         status = 1
         message = "sciml_column_run needs a scheme from sciml_column_init"
         return
      end if
      if (any(shape(in3) /= [columns, levels, int(scheme%fields(1))]) &
          .or. any(shape(in2) /= [columns, int(scheme%fields(2))]) &
          .or. any(shape(out3) /= [columns, levels, int(scheme%fields(3))]) &
          .or. any(shape(out2) /= [columns, int(scheme%fields(4))])) then
         status = 1
         write (line, "(a, 4(1x, i0))") "sciml_column_run: the arrays are not (columns, levels, fields) "// &
            "and (columns, fields) with the fields of the scheme:", scheme%fields
         message = line
         return
      end if
      text(1) = c_null_char
      status = int(c_run(scheme%handle, int(columns, c_int64_t), int(levels, c_int32_t), in3, in2, &
                         out3, out2, 1_c_int32_t, text, int(message_size, c_size_t)))
      call copy_message(text, message)
   end subroutine sciml_column_run

   !> Free a scheme. One that was never opened does not change.
   subroutine sciml_column_finalise(scheme)
      type(sciml_scheme), intent(inout) :: scheme
      call c_finalise(scheme%handle)
      scheme%fields = 0_c_int32_t
   end subroutine sciml_column_finalise

   !> The characters of a text without its last blanks, with the null character of C.
   pure function c_text(text) result(made)
      ! allow(C072)
      character(len=*), intent(in) :: text
      character(kind=c_char) :: made(len_trim(text) + 1)
      integer :: n

      do n = 1, len_trim(text)
         made(n) = text(n:n)
      end do
      made(len_trim(text) + 1) = c_null_char
   end function c_text

   !> Copy the message of C.
   pure subroutine copy_message(text, message)
      character(kind=c_char), intent(in) :: text(message_size)
      ! allow(C072)
      character(len=*), intent(out) :: message
      integer :: n

      message = ""
      do n = 1, min(message_size, len(message))
         if (text(n) == c_null_char) exit
         message(n:n) = text(n)
      end do
   end subroutine copy_message

end module sciml_column
