!> A step of the columns, in WRF's order: the convection scheme is called every CUDT with the state at the
!> start of the step; its tendencies are held until their time (NCA) is over, and are applied in each step.
module column_steps
   use, intrinsic :: iso_fortran_env, only: real32, real64
   use column_domain, only: domain, f_qc, f_qv, f_t, f_u, f_v, m_condensing, m_heating, m_moistening, &
      s_coupled_enthalpy, s_coupled_heating, s_coupled_water, s_deep, s_evaluated, s_evaporation, &
      s_least_vapour, s_limited, s_novel, s_novelty, s_radiation, s_rain_condensed, s_rain_convective, &
      s_rain_late, s_returned, s_scheme_enthalpy, s_sensible, s_shallow, s_unsound
   ! generated from sciml/schemes/mskf.py: do not edit (imports)
   use column_domain, only: in_u, in_v, in_t, in_qv, in_p_hyd, in_dz8w, in_rho, in_pi, in_w0avg, &
                            in_zol, in_hfx, in_ust, in_pblh, out_rthcuten, out_rqvcuten, &
                            out_rqccuten, out_rqrcuten, out_rqicuten, out_rqscuten, out_rucuten, &
                            out_rvcuten, out_cldfra_dp, out_cldfra_sh, out_qc_cu, out_qi_cu, &
                            out_pratec, out_nca, out_cutop, out_cubot, out_novelty
   ! end of the generated part
   use column_physics, only: cp, heights, lv, mix, radiation, rain_out, sea_fluxes
   use sciml_mskf, only: sciml_emulator, sciml_mskf_run
   implicit none(type, external)
   private
   public :: advance

contains

   !> Step members first..last from step - 1 to step. Members are independent, so that threads may share them
   !> with the same bits.
   subroutine advance(d, emulator, step, first, last, status, message)
      type(domain), intent(inout) :: d
      type(sciml_emulator), intent(in) :: emulator
      integer, intent(in) :: step, first, last
      integer, intent(out) :: status
      character(len=512), intent(out) :: message
      real(real64), dimension(d%levels, first:last) :: rho, dz, z
      integer :: m

      status = 0
      message = ""
      do m = first, last
         call heights(d%p, d%mass, d%state(:, m, f_t), d%state(:, m, f_qv), rho(:, m), dz(:, m), z(:, m))
         d%surface(m) = sea_fluxes(d%climate, d%p, d%state(:, m, f_t), d%state(:, m, f_qv), rho(:, m), &
                                   z(:, m))
      end do
      if (step == 1 .or. modulo(step, d%stepcu) == 0) then
         do m = first, last
            call prepare(d, m, step, rho(:, m), dz(:, m))
         end do
         call convection(d, emulator, first, last, status, message)
         if (status /= 0) return
         call count_answers(d, first, last)
      end if
      do m = first, last
         call apply_radiation_and_mixing(d, m, rho(:, m), dz(:, m), z(:, m))
         call apply_convection(d, m)
         call apply_condensation(d, m)
         call count_down(d, m)
         d%total(m, s_least_vapour) = min(d%total(m, s_least_vapour), minval(d%state(:, m, f_qv)))
      end do
   end subroutine advance

   !> Set the inputs of the scheme in single precision. A column has no vertical velocity, but the scheme's
   !> trigger needs its running mean: w is a profile times an amplitude, and W0AVG is computed from it as in
   !> WRF, in all columns, held or not.
   subroutine prepare(d, m, step, rho, dz)
      type(domain), intent(inout) :: d
      integer, intent(in) :: m, step
      real(real64), intent(in) :: rho(:), dz(:)
      real(real32) :: span
      integer :: call_number

      call_number = 1 + step/d%stepcu
      span = 2*real(d%stepcu, real32)
      d%in3(m, :, 1, in_u) = real(d%state(:, m, f_u), real32)
      d%in3(m, :, 1, in_v) = real(d%state(:, m, f_v), real32)
      d%in3(m, :, 1, in_t) = real(d%state(:, m, f_t), real32)
      d%in3(m, :, 1, in_qv) = real(d%state(:, m, f_qv), real32)
      d%in3(m, :, 1, in_p_hyd) = real(d%p, real32)
      d%in3(m, :, 1, in_dz8w) = real(dz, real32)
      d%in3(m, :, 1, in_rho) = real(rho, real32)
      d%in3(m, :, 1, in_pi) = real(d%pi, real32)
      d%in3(m, :, 1, in_w0avg) = (d%in3(m, :, 1, in_w0avg)*(span - 1) + &
                               real(d%w*d%amplitude(m, call_number), real32))/span
      associate (s => d%surface(m))
         d%in2(m, 1, in_zol) = real(s%zol, real32)
         d%in2(m, 1, in_hfx) = real(s%heat, real32)
         d%in2(m, 1, in_ust) = real(s%ust, real32)
         d%in2(m, 1, in_pblh) = real(s%depth, real32)
      end associate
   end subroutine prepare

   !> Call the scheme for these members, as for a tile of WRF.
   subroutine convection(d, emulator, first, last, status, message)
      type(domain), intent(inout) :: d
      type(sciml_emulator), intent(in) :: emulator
      integer, intent(in) :: first, last
      integer, intent(out) :: status
      character(len=512), intent(out) :: message
      ! generated from sciml/schemes/mskf.py: do not edit (call)
      call sciml_mskf_run(emulator, d%in3(:, :, :, in_u), d%in3(:, :, :, in_v), &
                          d%in3(:, :, :, in_t), d%in3(:, :, :, in_qv), d%in3(:, :, :, in_p_hyd), &
                          d%in3(:, :, :, in_dz8w), d%in3(:, :, :, in_rho), d%in3(:, :, :, in_pi), &
                          d%in3(:, :, :, in_w0avg), d%in2(:, :, in_zol), d%in2(:, :, in_hfx), &
                          d%in2(:, :, in_ust), d%in2(:, :, in_pblh), real(d%dx, real32), &
                          real(d%dt, real32), real(d%cudt, real32), d%out2(:, :, out_nca), &
                          d%out3(:, :, :, out_rthcuten), d%out3(:, :, :, out_rqvcuten), &
                          d%out3(:, :, :, out_rqccuten), d%out3(:, :, :, out_rqrcuten), &
                          d%out3(:, :, :, out_rqicuten), d%out3(:, :, :, out_rqscuten), &
                          d%out3(:, :, :, out_rucuten), d%out3(:, :, :, out_rvcuten), &
                          d%out3(:, :, :, out_cldfra_dp), d%out3(:, :, :, out_cldfra_sh), &
                          d%out3(:, :, :, out_qc_cu), d%out3(:, :, :, out_qi_cu), &
                          d%out2(:, :, out_pratec), d%out2(:, :, out_cutop), &
                          d%out2(:, :, out_cubot), d%answered, d%out2(:, :, out_novelty), 1, &
                          d%members, 1, 1, 1, d%levels, first, last, 1, 1, 1, d%levels, status, &
                          message)
      ! end of the generated part
   end subroutine convection

   !> Count classes and novelty of the columns that were not held.
   subroutine count_answers(d, first, last)
      type(domain), intent(inout) :: d
      integer, intent(in) :: first, last
      integer :: m
      do m = first, last
         if (d%answered(m, 1) == 3) cycle
         d%total(m, s_evaluated) = d%total(m, s_evaluated) + 1
         select case (d%answered(m, 1))
         case (-1)
            d%total(m, s_unsound) = d%total(m, s_unsound) + 1
            cycle ! its novelty is infinite
         case (1)
            d%total(m, s_shallow) = d%total(m, s_shallow) + 1
         case (2)
            d%total(m, s_deep) = d%total(m, s_deep) + 1
         case default
            cycle ! no trigger: the emulator was not evaluated
         end select
         if (d%out2(m, 1, out_novelty) > 1) d%total(m, s_novel) = d%total(m, s_novel) + 1
         d%total(m, s_novelty) = max(d%total(m, s_novelty), real(d%out2(m, 1, out_novelty), real64))
      end do
   end subroutine count_answers

   subroutine apply_radiation_and_mixing(d, m, rho, dz, z)
      type(domain), intent(inout) :: d
      integer, intent(in) :: m
      real(real64), dimension(:), intent(in) :: rho, dz, z
      real(real64) :: change(d%levels), part
      associate (t => d%state(:, m, f_t), s => d%surface(m))
         change = d%dt*radiation(d%climate, t)
         t = t + change
         d%total(m, s_radiation) = d%total(m, s_radiation) + sum(d%mass*cp*change)
         call mix(s, d%mass, rho, z, dz, d%dt, t, d%state(:, m, f_qv))
         d%total(m, s_sensible) = d%total(m, s_sensible) + d%dt*s%heat
         d%total(m, s_evaporation) = d%total(m, s_evaporation) + d%dt*s%vapour
      end associate
      part = d%dt/(d%dt + d%climate%nudging)
      d%state(:, m, f_u) = d%state(:, m, f_u) + part*(d%u - d%state(:, m, f_u))
      d%state(:, m, f_v) = d%state(:, m, f_v) + part*(d%v - d%state(:, m, f_v))
   end subroutine apply_radiation_and_mixing

   !> Apply the tendencies of convection for one step. They belong to a state that may be an hour old: if they
   !> would remove more vapour or condensate than there is, all of them and the rain are reduced by the same
   !> factor, so that each budget closes. All condensate, including the rain that shallow clouds leave in the
   !> air, is the host's qc.
   subroutine apply_convection(d, m)
      type(domain), intent(inout) :: d
      integer, intent(in) :: m
      real(real64), dimension(d%levels) :: heating, drying, water, now
      real(real64) :: rain, share
      integer :: k

      rain = d%dt*real(d%out2(m, 1, out_pratec), real64)
      if (.not. d%out2(m, 1, out_nca) > 0) then
         ! WRF clears the tendencies when their time is over, but PRATEC only at the next call: the rain until
         ! then has no source. Here it is counted, but not added to the rain.
         d%total(m, s_rain_late) = d%total(m, s_rain_late) + rain
         return
      end if
      heating = d%dt*d%pi*real(d%out3(m, :, 1, out_rthcuten), real64)
      drying = d%dt*real(d%out3(m, :, 1, out_rqvcuten), real64)
      water = d%dt*sum(real(d%out3(m, :, 1, out_rqccuten:out_rqscuten), real64), dim=2)
      share = 1
      do k = 1, d%levels
         if (drying(k) < 0) share = min(share, -d%state(k, m, f_qv)/drying(k))
         if (water(k) < 0) share = min(share, -d%state(k, m, f_qc)/water(k))
      end do
      if (share < 1) then
         share = share*(1 - 4*epsilon(share))
         d%total(m, s_limited) = d%total(m, s_limited) + 1
      end if
      heating = share*heating
      drying = share*drying
      water = share*water
      now = d%state(:, m, f_t)
      d%state(:, m, f_t) = now + heating
      d%state(:, m, f_qv) = d%state(:, m, f_qv) + drying
      d%state(:, m, f_qc) = d%state(:, m, f_qc) + water
      d%state(:, m, f_u) = d%state(:, m, f_u) + share*d%dt*real(d%out3(m, :, 1, out_rucuten), real64)
      d%state(:, m, f_v) = d%state(:, m, f_v) + share*d%dt*real(d%out3(m, :, 1, out_rvcuten), real64)
      d%mean(:, m, m_heating) = d%mean(:, m, m_heating) + heating
      d%mean(:, m, m_moistening) = d%mean(:, m, m_moistening) + drying
      call add(s_rain_convective, share*rain)
      call add(s_coupled_water, sum(d%mass*(drying + water)))
      call add(s_coupled_enthalpy, sum(d%mass*(cp*heating + lv*drying)))
      call add(s_scheme_enthalpy, sum(d%mass*(cp*heating + (3.15e6_real64 - 2370*now)*drying)))
      call add(s_coupled_heating, sum(d%mass*cp*abs(heating)))
   contains
      subroutine add(number, value)
         integer, intent(in) :: number
         real(real64), intent(in) :: value
         d%total(m, number) = d%total(m, number) + value
      end subroutine add
   end subroutine apply_convection

   subroutine apply_condensation(d, m)
      type(domain), intent(inout) :: d
      integer, intent(in) :: m
      real(real64) :: before(d%levels), rain, returned
      before = d%state(:, m, f_t)
      call rain_out(d%climate, d%p, d%mass, d%dt, d%state(:, m, f_t), d%state(:, m, f_qv), &
                    d%state(:, m, f_qc), rain, returned)
      d%mean(:, m, m_condensing) = d%mean(:, m, m_condensing) + (d%state(:, m, f_t) - before)
      d%total(m, s_rain_condensed) = d%total(m, s_rain_condensed) + rain
      d%total(m, s_returned) = d%total(m, s_returned) + returned
   end subroutine apply_condensation

   !> Count down the time of the tendencies (NCA) at the end of a step, as WRF does.
   subroutine count_down(d, m)
      type(domain), intent(inout) :: d
      integer, intent(in) :: m
      real(real32) :: dt
      dt = real(d%dt, real32)
      if (.not. d%out2(m, 1, out_nca) > 0) return
      if (nint(d%out2(m, 1, out_nca)/dt) <= 1) d%out3(m, :, 1, out_rthcuten:out_rvcuten) = 0
      d%out2(m, 1, out_nca) = d%out2(m, 1, out_nca) - dt
   end subroutine count_down

end module column_steps
