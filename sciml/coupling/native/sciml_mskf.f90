!> The Fortran interface of libsciml_mskf: init, run, finalise.
!>
!> It has no state and never stops: each procedure returns a status (0 is success) and a
!> message. An emulator is read-only after sciml_mskf_init, so the tiles of an OpenMP loop may share
!> it; init and finalise are for serial regions. The host's floating-point traps, flags and rounding
!> stay as they are, and no column can trap. Compile this file with the host's own compiler (module
!> files are compiler specific) and link libsciml_mskf.so.
module sciml_mskf
   use, intrinsic :: iso_c_binding, only: c_associated, c_char, c_double, c_float, c_int32_t, &
      c_int64_t, c_loc, c_null_char, c_null_ptr, c_ptr, c_ptrdiff_t => c_intptr_t, c_size_t
   implicit none(type, external)
   private
   public :: sciml_emulator, sciml_mskf_init, sciml_mskf_run, sciml_mskf_finalise

   !> An open weights file. It has one owner: assignment gives an emulator that is not open, so that none is
   !> freed twice; do not copy one in any other way (allocate with source=, transfer), but pass it on.
   type :: sciml_emulator
      private
      type(c_ptr) :: handle = c_null_ptr
   contains
      procedure, private :: assign => assign_closed
      generic, public :: assignment(=) => assign
   end type sciml_emulator

   !> sciml_mskf_domain of sciml_mskf.h.
   type, bind(C) :: c_domain
      integer(c_int64_t) :: ni, nj
      integer(c_int32_t) :: levels, threads, held, unused
      integer(c_ptrdiff_t) :: s3(3), s2(2)
      real(c_double) :: dx, dt, cudt
   end type c_domain

   !> sciml_mskf_fields of sciml_mskf.h.
   type, bind(C) :: c_fields
      ! generated from sciml/schemes/mskf.py: do not edit (structure)
      type(c_ptr) :: in3(9), in2(4), out3(12), out2(5), kind
      ! end of the generated part
   end type c_fields

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

      function c_run(handle, domain, fields, message, length) bind(C, name="sciml_mskf_run") &
         result(status)
         import :: c_char, c_domain, c_fields, c_int32_t, c_ptr, c_size_t
         implicit none(type, external)
         type(c_ptr), intent(in), value :: handle
         type(c_domain), intent(in) :: domain
         type(c_fields), intent(in) :: fields
         ! allow(C071, C072)
         character(kind=c_char), intent(inout) :: message(*)
         integer(c_size_t), intent(in), value :: length
         integer(c_int32_t) :: status
      end function c_run

      subroutine c_finalise(handle) bind(C, name="sciml_mskf_finalise")
         import :: c_ptr
         implicit none(type, external)
         type(c_ptr), intent(inout) :: handle
      end subroutine c_finalise
   end interface

   integer, parameter :: message_size = 512 !< characters of a message
   integer, parameter :: path_size = 4096 !< characters of a path
   integer, parameter :: blank = iachar(" ")

contains

   !> Open a weights file. An emulator that is open already is finalised first, in any case.
   subroutine sciml_mskf_init(path, emulator, status, message)
      character(len=*), intent(in) :: path
      type(sciml_emulator), intent(inout) :: emulator
      integer, intent(out) :: status
      ! allow(C072)
      character(len=*), intent(out) :: message
      character(kind=c_char) :: text(message_size), name(path_size + 1)
      integer :: i, last

      call sciml_mskf_finalise(emulator)
      last = len(path)
      do while (last > 0)
         if (iachar(path(last:last)) /= blank) exit ! len_trim would need gfortran's run-time library
         last = last - 1
      end do
      if (last > path_size) then
         status = 1
         message = "sciml_mskf_init: the path has more than 4096 characters: give a shorter one"
         return
      end if
      do i = 1, last
         name(i) = path(i:i)
      end do
      name(last + 1) = c_null_char
      text(1) = c_null_char
      status = int(c_init(name, emulator%handle, text, int(message_size, c_size_t)))
      call copy_message(text, message)
   end subroutine sciml_mskf_init

   !> Run the emulator on the tile (its:ite, kts:kte, jts:jte) of arrays in WRF's memory order.
   !>
   !> Fields, those with levels (ims:ime, kms:kme, jms:jme), the others (ims:ime, jms:jme):
   ! generated from sciml/schemes/mskf.py: do not edit (quantities)
   !>   u          m s-1, grid-relative, at mass points
   !>   v          m s-1, grid-relative, at mass points
   !>   t          K
   !>   qv         kg kg-1, of dry air
   !>   p_hyd      Pa, hydrostatic
   !>   dz8w       m
   !>   rho        kg m-3, moist
   !>   pi         1, Exner function
   !>   w0avg      m s-1, the running mean after its update at this call
   !>   zol        1
   !>   hfx        W m-2
   !>   ust        m s-1
   !>   pblh       m
   !>   rthcuten   K s-1
   !>   rqvcuten   kg kg-1 s-1
   !>   rqccuten   kg kg-1 s-1
   !>   rqrcuten   kg kg-1 s-1
   !>   rqicuten   kg kg-1 s-1
   !>   rqscuten   kg kg-1 s-1
   !>   rucuten    m s-2
   !>   rvcuten    m s-2
   !>   cldfra_dp  1
   !>   cldfra_sh  1
   !>   qc_cu      kg kg-1
   !>   qi_cu      kg kg-1
   !>   pratec     mm s-1
   !>   nca        s, at most a day in whole DT; -100 where nothing triggers; read too if `held` is set
   !>   cutop      level, the lowest is 1
   !>   cubot      level, the lowest is 1
   !>   novelty    1, above 1 in columns unlike those of the training
   ! end of the generated part
   !> dx (m), dt (s) and cudt (minutes) are those of the namelist.
   !> nca is read and written: columns with nca >= dt/2 are held, none of their outputs changes.
   !> Everything else is written in all other columns of the tile, zeros included.
   !> kind: 0 nothing triggered, 1 shallow, 2 deep, 3 held, -1 not sound: the inputs are not finite or not
   !> physical (sciml_mskf.h lists the bounds), or the physics cannot carry them through. Such a column is
   !> left at rest, as one in which nothing triggers, and its novelty is infinite; status stays 0, and
   !> message has their number. A host that stops, or calls its own scheme there, tests
   !> any(kind(its:ite, jts:jte) == -1), or message /= "". novelty: above 1 in columns
   !> unlike those of the training.
   ! generated from sciml/schemes/mskf.py: do not edit (arguments)
   subroutine sciml_mskf_run(emulator, u, v, t, qv, p_hyd, dz8w, rho, pi, w0avg, zol, hfx, ust, &
                             pblh, dx, dt, cudt, nca, rthcuten, rqvcuten, rqccuten, rqrcuten, &
                             rqicuten, rqscuten, rucuten, rvcuten, cldfra_dp, cldfra_sh, qc_cu, &
                             qi_cu, pratec, cutop, cubot, kind, novelty, ims, ime, jms, jme, kms, &
                             kme, its, ite, jts, jte, kts, kte, status, message)
   ! end of the generated part
      type(sciml_emulator), intent(in) :: emulator
      integer, intent(in) :: ims, ime, jms, jme, kms, kme, its, ite, jts, jte, kts, kte
      real(c_float), intent(in) :: dx, dt, cudt
      ! generated from sciml/schemes/mskf.py: do not edit (declarations)
      real(c_float), dimension(ims:ime, kms:kme, jms:jme), intent(in), target :: &
         u, v, t, qv, p_hyd, dz8w, rho, pi, w0avg
      real(c_float), dimension(ims:ime, jms:jme), intent(in), target :: &
         zol, hfx, ust, pblh
      real(c_float), dimension(ims:ime, kms:kme, jms:jme), intent(inout), target :: &
         rthcuten, rqvcuten, rqccuten, rqrcuten, rqicuten, rqscuten, rucuten, rvcuten, cldfra_dp, &
         cldfra_sh, qc_cu, qi_cu
      real(c_float), dimension(ims:ime, jms:jme), intent(inout), target :: &
         pratec, nca, cutop, cubot, novelty
      ! end of the generated part
      integer(c_int32_t), dimension(ims:ime, jms:jme), intent(inout), target :: kind
      integer, intent(out) :: status
      ! allow(C072)
      character(len=*), intent(out) :: message
      type(c_domain) :: domain
      type(c_fields) :: fields
      character(kind=c_char) :: text(message_size)
      integer(c_ptrdiff_t) :: wide, deep

      if (.not. c_associated(emulator%handle)) then
         status = 1
         message = "sciml_mskf_run needs an emulator from sciml_mskf_init"
         return
      end if
      if (its < ims .or. ite > ime .or. jts < jms .or. jte > jme .or. kts < kms .or. kte > kme) then
         status = 1
         message = "sciml_mskf_run: the tile lies outside its arrays"
         return
      end if
      status = 0
      message = ""
      if (ite < its .or. jte < jts) return

      wide = int(ime, c_ptrdiff_t) - ims + 1
      deep = int(kme, c_ptrdiff_t) - kms + 1
      domain%ni = int(ite, c_int64_t) - its + 1
      domain%nj = int(jte, c_int64_t) - jts + 1
      domain%levels = int(kte - kts + 1, c_int32_t)
      domain%threads = 1
      domain%held = 1
      domain%unused = 0
      domain%s3 = [1_c_ptrdiff_t, wide, wide*deep]
      domain%s2 = [1_c_ptrdiff_t, wide]
      domain%dx = real(dx, c_double)
      domain%dt = real(dt, c_double)
      domain%cudt = real(cudt, c_double)

      ! generated from sciml/schemes/mskf.py: do not edit (pointers)
      fields%in3 = [c_loc(u(its, kts, jts)), c_loc(v(its, kts, jts)), c_loc(t(its, kts, jts)), &
                    c_loc(qv(its, kts, jts)), c_loc(p_hyd(its, kts, jts)), &
                    c_loc(dz8w(its, kts, jts)), c_loc(rho(its, kts, jts)), &
                    c_loc(pi(its, kts, jts)), c_loc(w0avg(its, kts, jts))]
      fields%in2 = [c_loc(zol(its, jts)), c_loc(hfx(its, jts)), c_loc(ust(its, jts)), &
                    c_loc(pblh(its, jts))]
      fields%out3 = [c_loc(rthcuten(its, kts, jts)), c_loc(rqvcuten(its, kts, jts)), &
                     c_loc(rqccuten(its, kts, jts)), c_loc(rqrcuten(its, kts, jts)), &
                     c_loc(rqicuten(its, kts, jts)), c_loc(rqscuten(its, kts, jts)), &
                     c_loc(rucuten(its, kts, jts)), c_loc(rvcuten(its, kts, jts)), &
                     c_loc(cldfra_dp(its, kts, jts)), c_loc(cldfra_sh(its, kts, jts)), &
                     c_loc(qc_cu(its, kts, jts)), c_loc(qi_cu(its, kts, jts))]
      fields%out2 = [c_loc(pratec(its, jts)), c_loc(nca(its, jts)), c_loc(cutop(its, jts)), &
                     c_loc(cubot(its, jts)), c_loc(novelty(its, jts))]
      ! end of the generated part
      fields%kind = c_loc(kind(its, jts))
      text(1) = c_null_char
      status = int(c_run(emulator%handle, domain, fields, text, int(message_size, c_size_t)))
      call copy_message(text, message)
   end subroutine sciml_mskf_run

   !> Free an emulator. One that was never opened does not change.
   subroutine sciml_mskf_finalise(emulator)
      type(sciml_emulator), intent(inout) :: emulator
      call c_finalise(emulator%handle)
   end subroutine sciml_mskf_finalise

   !> The copy of an emulator is not open; an emulator that is assigned to itself stays as it is.
   subroutine assign_closed(to, from)
      class(sciml_emulator), intent(inout) :: to
      type(sciml_emulator), intent(in) :: from
      if (c_associated(to%handle) .and. c_associated(to%handle, from%handle)) return
      call c_finalise(to%handle)
   end subroutine assign_closed

   !> A message of C into a Fortran string.
   subroutine copy_message(text, message)
      character(kind=c_char), intent(in) :: text(message_size)
      ! allow(C072)
      character(len=*), intent(out) :: message
      integer :: i
      message = ""
      do i = 1, min(message_size, len(message))
         if (text(i) == c_null_char) exit
         message(i:i) = text(i)
      end do
   end subroutine copy_message

end module sciml_mskf
