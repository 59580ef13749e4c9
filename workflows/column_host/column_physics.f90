!> The physics of a column in radiative-convective equilibrium except convection: prescribed radiation, bulk
!> fluxes from a sea of fixed temperature, mixing in the boundary layer, and condensation of saturated air.
!>
!> Pressure p (Pa) and mass (kg m-2) of the layers are constant; height follows from temperature and vapour.
!> The enthalpy of a layer is mass*(cp*t + lv*qv) with a constant lv, so that budgets close to round-off:
!> condensation and mixing conserve it, radiation and surface fluxes are its only sources. All is real64.
module column_physics
   use, intrinsic :: iso_fortran_env, only: real64
   implicit none(type, external)
   private
   public :: climate, cp, gravity, heights, lv, mix, radiation, rain_out, sea_fluxes, surface_layer

   real(real64), parameter :: gravity = 9.81_real64, r_dry = 287.0_real64, r_vapour = 461.6_real64
   real(real64), parameter :: cp = 3.5_real64*r_dry, lv = 2.5e6_real64, p_zero = 1.0e5_real64
   real(real64), parameter :: von_karman = 0.4_real64, virtual = 0.608_real64
   real(real64), parameter :: t_zero = 273.15_real64, e_slope = 17.67_real64, e_shift = 29.65_real64

   !> Prescribed parameters, in the order of the input stream.
   type :: climate
      sequence
      real(real64) :: sst             !< sea surface temperature, K
      real(real64) :: p_surface       !< Pa
      real(real64) :: wind            !< wind speed in the bulk fluxes, m s-1
      real(real64) :: exchange        !< coefficient of the bulk fluxes
      real(real64) :: cooling         !< radiative cooling of the troposphere, K s-1
      real(real64) :: t_tropopause    !< colder air is relaxed, K
      real(real64) :: t_stratosphere  !< to this temperature, K
      real(real64) :: relaxation      !< in this time, s
      real(real64) :: rain_time       !< time in which condensate leaves its layer, s
      real(real64) :: evaporation     !< share of the rain per 100 hPa of air without vapour that evaporates
      real(real64) :: nudging         !< relaxation time of the wind to its profile, s
   end type climate

   !> Surface quantities for the scheme and the mixing.
   type :: surface_layer
      real(real64) :: heat = 0, vapour = 0 !< fluxes upwards, W m-2 and kg m-2 s-1
      real(real64) :: ust = 0              !< friction velocity, m s-1
      real(real64) :: zol = 0              !< height of the lowest level over Obukhov's length
      real(real64) :: depth = 0            !< depth of the boundary layer, m
      real(real64) :: buoyancy = 0         !< buoyancy flux, m2 s-3
   end type surface_layer

contains

   !> Saturation mixing ratio over water (Bolton 1980, eq. 10), and its derivative in temperature.
   elemental subroutine saturation(p, t, q, slope)
      real(real64), intent(in) :: p, t
      real(real64), intent(out) :: q, slope
      real(real64) :: e
      e = min(611.2_real64*exp(e_slope*(t - t_zero)/(t - e_shift)), 0.5_real64*p)
      q = 0.622_real64*e/(p - e)
      slope = q*p/(p - e)*e_slope*(t_zero - e_shift)/(t - e_shift)**2
   end subroutine saturation

   !> Density of moist air (kg m-3), thickness and mid height of the layers (m), in hydrostatic balance.
   pure subroutine heights(p, mass, t, qv, rho, dz, z)
      real(real64), dimension(:), intent(in) :: p, mass, t, qv
      real(real64), dimension(:), intent(out) :: rho, dz, z
      integer :: k
      rho = p/(r_dry*t*(1 + r_vapour/r_dry*qv))*(1 + qv)
      dz = mass/rho
      z(1) = dz(1)/2
      do k = 2, size(z)
         z(k) = z(k - 1) + (dz(k - 1) + dz(k))/2
      end do
   end subroutine heights

   !> Change of temperature by radiation (K s-1): a constant cooling of the troposphere, and relaxation of
   !> air that is colder than the tropopause (Pauluis and Garner 2006).
   elemental function radiation(c, t) result(rate)
      type(climate), intent(in) :: c
      real(real64), intent(in) :: t
      real(real64) :: rate
      rate = -c%cooling
      if (t < c%t_tropopause) rate = (c%t_stratosphere - t)/c%relaxation
   end function radiation

   !> Bulk fluxes over a sea of fixed temperature with surface air at 98 % of saturation, as over salt water.
   pure function sea_fluxes(c, p, t, qv, rho, z) result(s)
      type(climate), intent(in) :: c
      real(real64), dimension(:), intent(in) :: p, t, qv, rho, z
      type(surface_layer) :: s
      real(real64) :: q_sea, unused, speed, thetav(size(t)), limit, part
      integer :: k

      call saturation(c%p_surface, c%sst, q_sea, unused)
      speed = c%exchange*c%wind
      s%heat = rho(1)*cp*speed*(c%sst*(p(1)/c%p_surface)**(r_dry/cp) - t(1))
      s%vapour = rho(1)*speed*(0.98_real64*q_sea - qv(1))
      s%ust = sqrt(c%exchange)*c%wind
      s%buoyancy = gravity/t(1)*(s%heat/(rho(1)*cp) + virtual*t(1)*s%vapour/rho(1))
      s%zol = max(-20.0_real64, min(20.0_real64, -von_karman*z(1)*s%buoyancy/s%ust**3))

      ! The top of the boundary layer is where the virtual potential temperature exceeds that at the ground by
      ! 0.5 K.
      thetav = t*(p_zero/p)**(r_dry/cp)*(1 + virtual*qv)
      limit = thetav(1) + 0.5_real64
      s%depth = z(1)
      do k = 2, size(t)
         s%depth = z(k)
         if (thetav(k) > limit) then
            part = (limit - thetav(k - 1))/(thetav(k) - thetav(k - 1))
            s%depth = z(k - 1) + max(0.0_real64, part)*(z(k) - z(k - 1))
            exit
         end if
      end do
      s%depth = max(100.0_real64, min(4000.0_real64, s%depth))
   end function sea_fluxes

   !> Mix dry static energy and vapour for dt with a cubic profile of diffusivity in the boundary layer and in
   !> unstable air above it, with the surface fluxes as boundary condition; implicit, in flux form.
   pure subroutine mix(s, mass, rho, z, dz, dt, t, qv)
      type(surface_layer), intent(in) :: s
      real(real64), dimension(:), intent(in) :: mass, rho, z, dz
      real(real64), intent(in) :: dt
      real(real64), dimension(:), intent(inout) :: t, qv
      real(real64), parameter :: overturning = 30.0_real64 ! m2 s-1
      real(real64), dimension(size(t)) :: through, energy, thick
      real(real64) :: speed, face, diffusivity
      integer :: k

      speed = (s%ust**3 + 0.6_real64*max(0.0_real64, s%buoyancy)*s%depth)**(1.0_real64/3)
      energy = cp*t + gravity*z
      thick = energy*(1 + virtual*qv) ! nearly proportional to virtual potential temperature
      through = 0
      face = 0
      do k = 1, size(t) - 1
         face = face + dz(k)
         diffusivity = 0
         if (face < s%depth) diffusivity = von_karman*speed*face*(1 - face/s%depth)**2
         if (thick(k + 1) < thick(k)) diffusivity = max(diffusivity, overturning)
         through(k) = dt*(rho(k) + rho(k + 1))/2*diffusivity/(z(k + 1) - z(k))
      end do
      call diffuse(mass, through, dt*s%heat, energy)
      call diffuse(mass, through, dt*s%vapour, qv)
      t = (energy - gravity*z)/cp
   end subroutine mix

   !> Do one implicit step of diffusion with the source at the ground (per m2).
   pure subroutine diffuse(mass, through, inflow, x)
      real(real64), dimension(:), intent(in) :: mass, through
      real(real64), intent(in) :: inflow
      real(real64), dimension(:), intent(inout) :: x
      real(real64), dimension(size(x)) :: upper, new
      real(real64) :: pivot, below
      integer :: k, n

      n = size(x)
      below = 0
      do k = 1, n
         pivot = mass(k) + through(k) + below
         new(k) = mass(k)*x(k)
         if (k == 1) new(k) = new(k) + inflow
         if (k > 1) then
            pivot = pivot - below*upper(k - 1)
            new(k) = new(k) + below*new(k - 1)
         end if
         upper(k) = through(k)/pivot
         new(k) = new(k)/pivot
         below = through(k)
      end do
      do k = n - 1, 1, -1
         new(k) = new(k) + upper(k)*new(k + 1)
      end do
      ! In flux form the rounding errors of the solution move between layers and conserve the sum.
      below = inflow
      do k = 1, n
         pivot = 0
         if (k < n) pivot = through(k)*(new(k) - new(k + 1))
         x(k) = x(k) + (below - pivot)/mass(k)
         below = pivot
      end do
   end subroutine diffuse

   !> Condense vapour in saturated air, evaporate condensate elsewhere, and let condensate fall to the ground
   !> within the step; part of it evaporates while it falls (returned). rain and returned are in kg m-2.
   pure subroutine rain_out(c, p, mass, dt, t, qv, qc, rain, returned)
      type(climate), intent(in) :: c
      real(real64), dimension(:), intent(in) :: p, mass
      real(real64), intent(in) :: dt
      real(real64), dimension(:), intent(inout) :: t, qv, qc
      real(real64), intent(out) :: rain, returned
      real(real64) :: change, q_saturated, slope, falls
      integer :: k

      rain = 0
      returned = 0
      do k = size(t), 1, -1
         call saturation(p(k), t(k), q_saturated, slope)
         if (rain > 0 .and. qv(k) < q_saturated) then
            change = rain*min(1.0_real64, c%evaporation*(1 - qv(k)/q_saturated)*mass(k)*gravity/1.0e4_real64)
            change = min(change, 0.5_real64*(q_saturated - qv(k))/(1 + lv/cp*slope)*mass(k))
            rain = rain - change
            returned = returned + change
            call condense(-change/mass(k), t(k), qv(k))
         end if
         if (qc(k) <= 0 .and. qv(k) <= q_saturated) cycle
         change = saturating(p(k), t(k), qv(k), qc(k))
         call condense(change, t(k), qv(k))
         qc(k) = qc(k) + change
         falls = qc(k)*(1 - exp(-dt/c%rain_time))
         qc(k) = qc(k) - falls
         rain = rain + mass(k)*falls
      end do
   end subroutine rain_out

   !> Vapour that condenses (kg kg-1) until air is saturated; negative for evaporation, which the condensate
   !> limits.
   pure function saturating(p, t, qv, qc) result(change)
      real(real64), intent(in) :: p, t, qv, qc
      real(real64) :: change, q, slope
      integer :: turn
      change = 0
      do turn = 1, 4 ! Newton iterations; the third already changes little
         call saturation(p, t + lv/cp*change, q, slope)
         change = change + (qv - change - q)/(1 + lv/cp*slope)
      end do
      change = max(-qc, min(qv, change))
   end function saturating

   !> Condense the given vapour (kg kg-1) and add the latent heat.
   elemental subroutine condense(change, t, qv)
      real(real64), intent(in) :: change
      real(real64), intent(inout) :: t, qv
      t = t + lv/cp*change
      qv = qv - change
   end subroutine condense

end module column_physics
