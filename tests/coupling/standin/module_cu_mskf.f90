!> The stand-in's scheme under the name that WRF's has, with the same hundred arguments: what a library that
!> takes the scheme's place must serve. Inside is our own adjustment (standin_adjustment.f90).
!>
!> The program calls it from another source file: only then is the call an undefined reference, which the
!> linker's --wrap can send elsewhere.
module module_cu_mskf
   use, intrinsic :: iso_fortran_env, only: real32, real64
   use standin_adjustment, only: adjust, answer, constants, deep, nothing, shallow, sounding
   implicit none(type, external)
   private
   public :: mskf_cps

contains

   subroutine mskf_cps(ids, ide, jds, jde, kds, kde, ims, ime, jms, jme, kms, kme, its, ite, jts, jte, kts, &
                       kte, trigger, dt, ktau, dx, cudt, adapt_step_flag, rho, raincv, pratec, nca, u, v, &
                       th, t, w, dz8w, pcps, pi, w0avg, xlv0, xlv1, xls0, xls1, cp, r, g, ep1, ep2, svp1, &
                       svp2, svp3, svpt0, stepcu, cu_act_flag, warm_rain, cutop, cubot, qv, f_qv, f_qc, &
                       f_qr, f_qi, f_qs, rthcuten, rqvcuten, rqccuten, rqrcuten, rqicuten, rqscuten, &
                       rqvften, cldfra_dp_kf, cldfra_sh_kf, qc_kf, qi_kf, qr_kf, qs_kf, nc_kf, ni_kf, nr_kf, &
                       ns_kf, ccn_kf, ainc_frac, udr_kf, ddr_kf, uer_kf, der_kf, timec_kf, kf_edrates, zol, &
                       hfx, ust, pblh, aerocu, no_src_types_cu, aercu_fct, aercu_opt, efcs, efis, efss, &
                       rucuten, rvcuten, xland)
      integer, intent(in) :: ids, ide, jds, jde, kds, kde, ims, ime, jms, jme, kms, kme
      integer, intent(in) :: its, ite, jts, jte, kts, kte, trigger, ktau, stepcu, kf_edrates
      integer, intent(in) :: no_src_types_cu, aercu_opt
      real(real32), intent(in) :: dt, dx, cudt, xlv0, xlv1, xls0, xls1, cp, r, g, ep1, ep2
      real(real32), intent(in) :: svp1, svp2, svp3, svpt0, aercu_fct
      logical, intent(in) :: warm_rain
      logical, intent(in), optional :: adapt_step_flag, f_qv, f_qc, f_qr, f_qi, f_qs
      real(real32), dimension(ims:ime, kms:kme, jms:jme), intent(in) :: rho, u, v, th, t, w, dz8w, pcps, pi
      real(real32), dimension(ims:ime, kms:kme, jms:jme), intent(in) :: qv, rqvften
      real(real32), dimension(ims:ime, kms:kme, jms:jme), intent(inout) :: w0avg, rthcuten, rqvcuten
      real(real32), dimension(ims:ime, kms:kme, jms:jme), intent(inout) :: rqccuten, rqrcuten, rqicuten
      real(real32), dimension(ims:ime, kms:kme, jms:jme), intent(inout) :: rqscuten, rucuten, rvcuten
      real(real32), dimension(ims:ime, kms:kme, jms:jme), intent(inout) :: cldfra_dp_kf, cldfra_sh_kf, qc_kf
      real(real32), dimension(ims:ime, kms:kme, jms:jme), intent(inout) :: qi_kf, qr_kf, qs_kf, nc_kf, ni_kf
      real(real32), dimension(ims:ime, kms:kme, jms:jme), intent(inout) :: nr_kf, ns_kf, ccn_kf, udr_kf
      real(real32), dimension(ims:ime, kms:kme, jms:jme), intent(inout) :: ddr_kf, uer_kf, der_kf, efcs, efis
      real(real32), dimension(ims:ime, kms:kme, jms:jme), intent(inout) :: efss
      real(real32), dimension(ims:ime, kms:kme, jms:jme, no_src_types_cu), intent(inout), optional :: aerocu
      real(real32), dimension(ims:ime, jms:jme), intent(in) :: zol, hfx, ust, pblh, xland
      real(real32), dimension(ims:ime, jms:jme), intent(inout) :: raincv, pratec, nca, cutop, cubot, ainc_frac
      real(real32), dimension(ims:ime, jms:jme), intent(inout) :: timec_kf
      logical, dimension(ims:ime, jms:jme), intent(inout) :: cu_act_flag

      type(constants) :: c
      type(sounding) :: x
      type(answer) :: y
      integer :: i, j
      logical :: adaptive, rain, ice, snow

      adaptive = .false.
      if (present(adapt_step_flag)) adaptive = adapt_step_flag
      rain = .false. ! an absent flag means no rain
      if (present(f_qr)) rain = f_qr
      ice = .false.
      if (present(f_qi)) ice = f_qi .and. .not. warm_rain
      snow = .false.
      if (present(f_qs)) snow = f_qs .and. ice
      c = constants(dt=dt, dx=dx, cudt=cudt, cp=cp, r=r, g=g, xlv0=xlv0, xlv1=xlv1, svp1=svp1, svp2=svp2, &
                    svp3=svp3, svpt0=svpt0)
      do j = jts, jte
         do i = its, ite
            call average(i, j)
            cu_act_flag(i, j) = nca(i, j) < 0.5_real32*dt
            if (.not. cu_act_flag(i, j)) cycle ! it keeps what it has
            call gather(i, j)
            call adjust(c, x, y)
            call scatter_tendencies(i, j)
            call scatter_cloud(i, j)
            if (kf_edrates == 1) call scatter_rates(i, j)
         end do
      end do

   contains

      !> The running mean of w, in every column of every call.
      subroutine average(i, j)
         integer, intent(in) :: i, j
         integer :: k
         real(real32) :: old, whole, now
         now = 1.0_real32
         whole = real(2*stepcu, real32)
         if (adaptive) then
            now = dt
            whole = 2.0_real32*max(cudt*60.0_real32, dt)
         end if
         old = whole - now
         do k = kts, kte
            w0avg(i, k, j) = (w0avg(i, k, j)*old + 0.5_real32*(w(i, k, j) + w(i, k + 1, j))*now)/whole
         end do
      end subroutine average

      subroutine gather(i, j)
         integer, intent(in) :: i, j
         integer :: k
         x%u = real(u(i, kts:kte, j), real64)
         x%v = real(v(i, kts:kte, j), real64)
         x%t = real(t(i, kts:kte, j), real64)
         x%q = real(qv(i, kts:kte, j), real64)
         x%p = real(pcps(i, kts:kte, j), real64)
         x%dz = real(dz8w(i, kts:kte, j), real64)
         x%m = real(rho(i, kts:kte, j), real64)*x%dz
         x%w0 = real(w0avg(i, kts:kte, j), real64)
         x%z = 0.5_real64*x%dz
         do k = 2, size(x%z)
            x%z(k) = x%z(k - 1) + 0.5_real64*(x%dz(k - 1) + x%dz(k))
         end do
         x%zol = zol(i, j)
         x%hfx = hfx(i, j)
         x%ust = ust(i, j)
         x%pblh = pblh(i, j)
      end subroutine gather

      !> All eight tendencies, zeros too, and the rain, which is what the rounded tendencies take away.
      subroutine scatter_tendencies(i, j)
         integer, intent(in) :: i, j
         real(real64) :: gone(kts:kte)
         if (.not. snow) then ! what the microphysics does not know goes to what it knows
            y%qi = y%qi + y%qs
            y%qs = 0
         end if
         if (.not. ice) then
            y%qc = y%qc + y%qi
            y%qi = 0
         end if
         if (.not. rain) then
            y%qc = y%qc + y%qr
            y%qr = 0
         end if
         rthcuten(i, kts:kte, j) = real(y%t/pi(i, kts:kte, j), real32)
         rqvcuten(i, kts:kte, j) = real(y%qv, real32)
         rqccuten(i, kts:kte, j) = real(y%qc, real32)
         rqrcuten(i, kts:kte, j) = real(y%qr, real32)
         rqicuten(i, kts:kte, j) = real(y%qi, real32)
         rqscuten(i, kts:kte, j) = real(y%qs, real32)
         rucuten(i, kts:kte, j) = real(y%u, real32)
         rvcuten(i, kts:kte, j) = real(y%v, real32)
         pratec(i, j) = 0
         if (y%kind == deep) then
            gone = real(rqvcuten(i, kts:kte, j), real64) + rqccuten(i, kts:kte, j) + rqrcuten(i, kts:kte, j) &
                   + rqicuten(i, kts:kte, j) + rqscuten(i, kts:kte, j)
            pratec(i, j) = real(max(-sum(x%m*gone), 0.0_real64), real32)
         end if
         raincv(i, j) = dt*pratec(i, j)
         if (y%kind /= nothing) nca(i, j) = real(y%lasts, real32)
      end subroutine scatter_tendencies

      !> What radiation reads.
      subroutine scatter_cloud(i, j)
         integer, intent(in) :: i, j
         cutop(i, j) = real(kts + y%top - 1, real32)
         cubot(i, j) = real(kts + y%bottom - 1, real32)
         if (y%kind == nothing) then
            cutop(i, j) = real(kts, real32)
            cubot(i, j) = real(kte + 1, real32)
         end if
         cldfra_dp_kf(i, kts:kte, j) = 0
         cldfra_sh_kf(i, kts:kte, j) = 0
         if (y%kind == deep) cldfra_dp_kf(i, kts:kte, j) = real(y%cover, real32)
         if (y%kind == shallow) cldfra_sh_kf(i, kts:kte, j) = real(y%cover, real32)
         qc_kf(i, kts:kte, j) = real(y%liquid, real32)
         qi_kf(i, kts:kte, j) = real(y%ice, real32)
      end subroutine scatter_cloud

      !> In kg/s through the grid box, which has no downdraught.
      subroutine scatter_rates(i, j)
         integer, intent(in) :: i, j
         uer_kf(i, kts:kte, j) = real(y%entrained*c%dx**2, real32)
         udr_kf(i, kts:kte, j) = real(y%detrained*c%dx**2, real32)
         der_kf(i, kts:kte, j) = 0
         ddr_kf(i, kts:kte, j) = 0
         timec_kf(i, j) = real(y%timec, real32)
      end subroutine scatter_rates

   end subroutine mskf_cps

end module module_cu_mskf
