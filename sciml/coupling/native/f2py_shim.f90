!> The procedures that f2py wraps.
!>
!> They have no state: every call goes to libsciml_mskf.so, which the extension module is linked to, so
!> that Python through ctypes, Python through f2py and a Fortran host in one process share one
!> library and its handles. A handle is an address, in an integer of 8 bytes.
module emulator
   use, intrinsic :: iso_c_binding, only: c_char, c_float, c_int32_t, c_int64_t, c_intptr_t, c_null_char, &
      c_null_ptr, c_ptr, c_size_t
   implicit none(type, external)
   private
   public :: open_weights, run_network, close_weights

   !> sciml_mskf_description of sciml_mskf.h.
   type, bind(C) :: c_description
      integer(c_int32_t) :: schema, channels, layers, hidden, outputs, pooled, pool_levels, emulator
   end type c_description

   interface
      function c_init(path, handle, message, length) bind(C, name="sciml_mskf_init") result(status)
         import :: c_char, c_int32_t, c_ptr, c_size_t
         implicit none(type, external)
         ! allow(C071)
         character(kind=c_char), intent(in) :: path(*)
         type(c_ptr), intent(out) :: handle
         ! allow(C071, C072)
         character(kind=c_char), intent(inout) :: message(*)
         integer(c_size_t), intent(in), value :: length
         integer(c_int32_t) :: status
      end function c_init

      function c_describe(handle, description, message, length) bind(C, name="sciml_mskf_describe") &
         result(status)
         import :: c_char, c_description, c_int32_t, c_ptr, c_size_t
         implicit none(type, external)
         type(c_ptr), intent(in), value :: handle
         type(c_description), intent(out) :: description
         ! allow(C071, C072)
         character(kind=c_char), intent(inout) :: message(*)
         integer(c_size_t), intent(in), value :: length
         integer(c_int32_t) :: status
      end function c_describe

      function c_network(handle, columns, levels, x, xs, y, ys, p, ps, threads, message, length) &
         bind(C, name="sciml_network_run") result(status)
         import :: c_char, c_float, c_int32_t, c_int64_t, c_intptr_t, c_ptr, c_size_t
         implicit none(type, external)
         type(c_ptr), intent(in), value :: handle
         integer(c_int64_t), intent(in), value :: columns
         integer(c_int32_t), intent(in), value :: levels, threads
         ! allow(C071)
         real(c_float), intent(in) :: x(*)
         ! allow(C071)
         real(c_float), intent(inout) :: y(*), p(*)
         integer(c_intptr_t), intent(in) :: xs(3), ys(3), ps(2)
         ! allow(C071, C072)
         character(kind=c_char), intent(inout) :: message(*)
         integer(c_size_t), intent(in), value :: length
         integer(c_int32_t) :: status
      end function c_network

      subroutine c_finalise(handle) bind(C, name="sciml_mskf_finalise")
         import :: c_ptr
         implicit none(type, external)
         type(c_ptr), intent(inout) :: handle
      end subroutine c_finalise
   end interface

contains

   !> Open a weights file.
   subroutine open_weights(path, handle, status, message)
      character(len=1024), intent(in) :: path
      integer(c_int64_t), intent(out) :: handle
      integer, intent(out) :: status
      character(len=512), intent(out) :: message
      type(c_ptr) :: address
      handle = 0
      if (path(1024:1024) /= " ") then ! f2py cuts what is longer
         status = 1
         message = "the path has more than 1023 characters: give a shorter one"
         return
      end if
      address = c_null_ptr
      message = " "
      status = int(c_init(trim(path)//c_null_char, address, message, 512_c_size_t))
      handle = transfer(address, handle)
   end subroutine open_weights

   !> Run the bare network: x (channel, level, column) to y (output, level, column) and p (pooled, column).
   !> Sizes that are not the network's own give status 5, and nothing is run.
   subroutine run_network(handle, x, y, p, threads, status, message, &
                          channels, levels, columns, outputs, pooled)
      integer(c_int64_t), intent(in) :: handle
      integer, intent(in) :: channels, levels, columns, outputs, pooled, threads
      real(c_float), intent(in) :: x(channels, levels, columns)
      real(c_float), intent(out) :: y(outputs, levels, columns), p(pooled, columns)
      integer, intent(out) :: status
      character(len=512), intent(out) :: message
      integer(c_intptr_t) :: xs(3), ys(3), ps(2)
      type(c_description) :: network

      message = " "
      status = int(c_describe(transfer(handle, c_null_ptr), network, message, 512_c_size_t))
      if (status == 0 .and. (channels /= network%channels .or. outputs /= network%outputs .or. &
                             pooled /= network%pooled)) then
         status = 5
         write (message, "(6(a, i0), a)") "x has ", channels, " channels, for ", outputs, " outputs and ", &
            pooled, " pooled; this network takes ", network%channels, " channels and has ", network%outputs, &
            " outputs and ", network%pooled, " pooled"
      end if
      if (status /= 0) then
         y = 0
         p = 0
         return
      end if
      xs = [int(channels, c_intptr_t)*levels, int(channels, c_intptr_t), 1_c_intptr_t]
      ys = [int(outputs, c_intptr_t)*levels, int(outputs, c_intptr_t), 1_c_intptr_t]
      ps = [int(pooled, c_intptr_t), 1_c_intptr_t]
      status = int(c_network(transfer(handle, c_null_ptr), int(columns, c_int64_t), int(levels, c_int32_t), &
                             x, xs, y, ys, p, ps, int(threads, c_int32_t), message, 512_c_size_t))
   end subroutine run_network

   !> Free an open weights file. Its handle must not be used again.
   subroutine close_weights(handle)
      integer(c_int64_t), intent(in) :: handle
      type(c_ptr) :: address
      address = transfer(handle, c_null_ptr)
      call c_finalise(address)
   end subroutine close_weights

end module emulator
