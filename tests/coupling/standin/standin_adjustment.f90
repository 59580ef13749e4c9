!> The convective adjustment of one column: the computation of the stand-in scheme.
!>
!> A plume rises from the lowest 50 hPa. It starts where the source air, lifted to its condensation level
!> (Bolton 1980, eq. 21) and warmed by a bonus of the cube root of W0AVG there (Fritsch and Chappell 1980), is
!> warmer than its surroundings. It keeps its mass flux M, exchanges a share e*dz of its air in each layer,
!> loses a share of its condensate as rain, and stops where its kinetic energy is spent or the domain ends;
!> all its air stays in the layer where it stops. Between layers M carries the plume up, the air above down:
!>     m_k dx_k/dt = F(k-1/2) - F(k+1/2) + sources,   F(k+1/2) = M (x_plume(k) - x(k+1)),
!> for total water, liquid-water static energy and momentum, so that all three are conserved to round-off.
!> Clouds of 3 km and more are deep: their rain leaves the column. In shallower ones it stays where it formed.
!> One latent heat serves for water and ice. The tendencies are linear in M, which is scaled last.
module standin_adjustment
   use, intrinsic :: iso_fortran_env, only: real64
   implicit none(type, external)
   private
   public :: adjust, answer, constants, nothing, shallow, deep, sounding

   integer, parameter :: dp = real64
   integer, parameter :: nothing = 0, shallow = 1, deep = 2

   real(dp), parameter :: source_depth = 5000.0_dp ! Pa
   real(dp), parameter :: exchange = 3.0e-4_dp ! of the plume's air, a metre
   real(dp), parameter :: lifted = 0.3_dp ! of the source, in the time that the adjustment takes
   real(dp), parameter :: rain_share = 0.3_dp ! of the condensate, a layer
   real(dp), parameter :: deep_depth = 3000.0_dp ! m
   real(dp), parameter :: freezing = 263.15_dp ! K; colder condensate is ice
   real(dp), parameter :: most_dried = 0.4_dp ! of a layer's vapour, while the tendencies last
   real(dp), parameter :: most_warmed = 4.0_dp ! K, while they last

   !> What the scheme is called with beside the column.
   type :: constants
      real(dp) :: dt, dx, cudt ! s, m, min
      real(dp) :: cp, r, g, xlv0, xlv1, svp1, svp2, svp3, svpt0
   end type constants

   !> One column, the lowest level first, in SI units.
   type :: sounding
      real(dp), allocatable :: u(:), v(:), t(:), q(:), p(:), dz(:), m(:), z(:), w0(:)
      real(dp) :: zol, hfx, ust, pblh
   end type sounding

   !> Tendencies (a second) and the other outputs of the scheme; zero where nothing happens.
   type :: answer
      integer :: kind
      integer :: bottom, top
      real(dp), allocatable :: t(:), qv(:), qc(:), qr(:), qi(:), qs(:), u(:), v(:)
      real(dp), allocatable :: cover(:), liquid(:), ice(:), entrained(:), detrained(:)
      real(dp) :: lasts, timec
   end type answer

   !> What rises.
   type :: plume
      integer :: source ! the highest layer of its source
      integer :: top
      real(dp) :: start ! m, where it condenses
      real(dp), allocatable :: q(:), s(:), u(:), v(:) ! as it leaves each layer upward
      real(dp), allocatable :: flux(:) ! at the top of each layer, for M = 1
      real(dp), allocatable :: rain(:), condensate(:), temperature(:)
   end type plume

contains

   !> Saturation mixing ratio.
   pure real(dp) function saturated(c, t, p)
      type(constants), intent(in) :: c
      real(dp), intent(in) :: t, p
      real(dp) :: e
      e = 1000.0_dp*c%svp1*exp(c%svp2*(t - c%svpt0)/(t - c%svp3))
      saturated = 0.622_dp*e/max(p - e, e)
   end function saturated

   !> Latent heat of all condensate.
   pure real(dp) function latent(c)
      type(constants), intent(in) :: c
      latent = c%xlv0 - c%xlv1*c%svpt0
   end function latent

   !> The whole adjustment of a column.
   pure subroutine adjust(c, x, y)
      type(constants), intent(in) :: c
      type(sounding), intent(in) :: x
      type(answer), intent(inout) :: y
      type(plume) :: rising
      logical :: starts

      call clear(size(x%t), y)
      call source(c, x, rising)
      call trigger(c, x, rising, starts)
      if (.not. starts) return
      call ascend(c, x, rising, y)
      if (y%kind == nothing) return
      call carry(c, x, rising, y)
      call scale(c, x, y)
   end subroutine adjust

   pure subroutine clear(n, y)
      integer, intent(in) :: n
      type(answer), intent(inout) :: y
      real(dp) :: zero(n)
      zero = 0
      y%kind = nothing
      y%bottom = 2
      y%top = 1
      y%lasts = 0
      y%timec = 0
      y%t = zero
      y%qv = zero
      y%qc = zero
      y%qr = zero
      y%qi = zero
      y%qs = zero
      y%u = zero
      y%v = zero
      y%cover = zero
      y%liquid = zero
      y%ice = zero
      y%entrained = zero
      y%detrained = zero
   end subroutine clear

   !> Mix the lowest layers, until they are deep enough; M grows through them as their mass does.
   pure subroutine source(c, x, rising)
      type(constants), intent(in) :: c
      type(sounding), intent(in) :: x
      type(plume), intent(out) :: rising
      integer :: k, n
      real(dp) :: mass, before, share
      n = size(x%t)
      allocate (rising%q(n), rising%s(n), rising%u(n), rising%v(n), rising%flux(n), source=0.0_dp)
      allocate (rising%rain(n), rising%condensate(n), rising%temperature(n), source=0.0_dp)
      mass = 0
      rising%source = 1
      rising%top = 1
      do k = 1, n - 1
         before = mass
         mass = mass + x%m(k)
         share = x%m(k)/mass
         rising%q(k) = share*x%q(k)
         rising%s(k) = share*(c%cp*x%t(k) + c%g*x%z(k))
         rising%u(k) = share*x%u(k)
         rising%v(k) = share*x%v(k)
         if (k > 1) then
            share = before/mass
            rising%q(k) = rising%q(k) + share*rising%q(k - 1)
            rising%s(k) = rising%s(k) + share*rising%s(k - 1)
            rising%u(k) = rising%u(k) + share*rising%u(k - 1)
            rising%v(k) = rising%v(k) + share*rising%v(k - 1)
         end if
         rising%flux(k) = mass
         rising%source = k
         if (mass*c%g > source_depth) exit
      end do
      rising%flux(:rising%source) = rising%flux(:rising%source)/mass
   end subroutine source

   !> Whether the source air condenses and is then warm enough to go on.
   pure subroutine trigger(c, x, rising, starts)
      type(constants), intent(in) :: c
      type(sounding), intent(in) :: x
      type(plume), intent(inout) :: rising
      logical, intent(out) :: starts
      integer :: k
      real(dp) :: t, z, p, e, t_lcl, weight, w, surroundings
      starts = .false.
      k = rising%source
      z = sum(x%m(:k)*x%z(:k))/sum(x%m(:k))
      p = sum(x%m(:k)*x%p(:k))/sum(x%m(:k))
      t = (rising%s(k) - c%g*z)/c%cp
      e = max(rising%q(k), 1.0e-6_dp)*p/(0.622_dp + rising%q(k))
      t_lcl = min(t, 55.0_dp + 2840.0_dp/(3.5_dp*log(t) - log(e/100.0_dp) - 4.805_dp))
      rising%start = z + (t - t_lcl)*c%cp/c%g
      do k = 1, size(x%t) - 1
         if (x%z(k + 1) > rising%start) exit
      end do
      if (k >= size(x%t) - 1) return
      weight = max((rising%start - x%z(k))/(x%z(k + 1) - x%z(k)), 0.0_dp)
      surroundings = x%t(k) + weight*(x%t(k + 1) - x%t(k))
      w = x%w0(k) + weight*(x%w0(k + 1) - x%w0(k)) - 1.0e-5_dp*min(rising%start, 2000.0_dp)
      starts = t_lcl + 4.64_dp*max(w, 0.0_dp)**(1.0_dp/3.0_dp) > surroundings
   end subroutine trigger

   !> Lift the plume from its source until its kinetic energy is spent.
   pure subroutine ascend(c, x, rising, y)
      type(constants), intent(in) :: c
      type(sounding), intent(in) :: x
      type(plume), intent(inout) :: rising
      type(answer), intent(inout) :: y
      integer :: k, cloud
      real(dp) :: share, energy, buoyancy, above

      energy = 1.0_dp
      cloud = 0
      rising%top = 0
      do k = rising%source + 1, size(x%t) - 1
         share = min(exchange*x%dz(k), 0.5_dp)
         rising%q(k) = rising%q(k - 1) + share*(x%q(k) - rising%q(k - 1))
         rising%s(k) = rising%s(k - 1) + share*(c%cp*x%t(k) + c%g*x%z(k) - rising%s(k - 1))
         rising%u(k) = rising%u(k - 1) + share*(x%u(k) - rising%u(k - 1))
         rising%v(k) = rising%v(k - 1) + share*(x%v(k) - rising%v(k - 1))
         rising%flux(k) = 1
         call condense(c, x, k, rising)
         rising%top = k
         if (x%z(k) <= rising%start) cycle ! the trigger's bonus lifts it to its condensation level
         if (cloud == 0) cloud = k
         above = x%t(k)*(1 + 0.608_dp*x%q(k))
         buoyancy = rising%temperature(k)*(1 + 0.608_dp*(rising%q(k) - rising%condensate(k))) &
                    - rising%temperature(k)*rising%condensate(k) - above
         energy = energy + x%dz(k)*(c%g*buoyancy/above - 2*exchange*energy)
         if (energy <= 0) exit
         call rain_out(c, k, rising)
      end do
      if (cloud == 0 .or. rising%top <= cloud) return
      y%kind = merge(deep, shallow, x%z(rising%top) - rising%start >= deep_depth)
      y%bottom = cloud
      y%top = rising%top
   end subroutine ascend

   !> Temperature and condensate of the plume in layer k: Newton's method on its liquid-water energy.
   pure subroutine condense(c, x, k, rising)
      type(constants), intent(in) :: c
      type(sounding), intent(in) :: x
      integer, intent(in) :: k
      type(plume), intent(inout) :: rising
      integer :: turn
      real(dp) :: t, dry, q, slope
      dry = (rising%s(k) - c%g*x%z(k))/c%cp
      rising%temperature(k) = dry
      if (saturated(c, dry, x%p(k)) >= rising%q(k)) return
      t = max(dry, x%t(k))
      do turn = 1, 4
         q = saturated(c, t, x%p(k))
         slope = q*c%svp2*(c%svpt0 - c%svp3)/(t - c%svp3)**2
         t = t - (t - dry - latent(c)/c%cp*(rising%q(k) - q))/(1 + latent(c)/c%cp*slope)
      end do
      rising%temperature(k) = t
      ! what the last turn left over is in the condensate, so that energy stays what it is
      rising%condensate(k) = max((t - dry)*c%cp/latent(c), 0.0_dp)
   end subroutine condense

   !> A share of the condensate leaves the plume, and with it the heat that it no longer owes.
   pure subroutine rain_out(c, k, rising)
      type(constants), intent(in) :: c
      integer, intent(in) :: k
      type(plume), intent(inout) :: rising
      rising%rain(k) = rain_share*rising%condensate(k)
      rising%condensate(k) = rising%condensate(k) - rising%rain(k)
      rising%q(k) = rising%q(k) - rising%rain(k)
      rising%s(k) = rising%s(k) + latent(c)*rising%rain(k)
   end subroutine rain_out

   !> Tendencies of M = 1 kg/m2/s.
   pure subroutine carry(c, x, rising, y)
      type(constants), intent(in) :: c
      type(sounding), intent(in) :: x
      type(plume), intent(in) :: rising
      type(answer), intent(inout) :: y
      integer :: k
      real(dp) :: share, cloud, below(4), above(4), total, heat, mist, rain

      below = 0
      do k = 1, rising%top
         above = 0
         if (k < rising%top) then
            above = rising%flux(k)*[rising%q(k) - x%q(k + 1), &
                                    rising%s(k) - c%cp*x%t(k + 1) - c%g*x%z(k + 1), &
                                    rising%u(k) - x%u(k + 1), rising%v(k) - x%v(k + 1)]
         end if
         share = 0
         if (k > rising%source) share = min(exchange*x%dz(k), 0.5_dp)
         if (k == rising%top) share = 1
         cloud = rising%condensate(k)
         mist = share*cloud/x%m(k)
         rain = rising%rain(k)/x%m(k)
         total = (below(1) - above(1))/x%m(k) - rain
         heat = (below(2) - above(2))/x%m(k) + latent(c)*rain
         y%qv(k) = total - mist
         y%t(k) = (heat + latent(c)*mist)/c%cp
         y%u(k) = (below(3) - above(3))/x%m(k)
         y%v(k) = (below(4) - above(4))/x%m(k)
         if (rising%temperature(k) > freezing .or. k <= rising%source) then
            y%qc(k) = mist
            y%qr(k) = rain
            y%liquid(k) = cloud
         else
            y%qi(k) = mist
            y%qs(k) = rain
            y%ice(k) = cloud
         end if
         if (k <= rising%source) then
            y%entrained(k) = rising%flux(k)
            if (k > 1) y%entrained(k) = rising%flux(k) - rising%flux(k - 1)
         else
            y%entrained(k) = merge(0.0_dp, share, k == rising%top)
            y%detrained(k) = share
         end if
         below = above
      end do
      if (y%kind == deep) then
         y%qr = 0
         y%qs = 0
      end if
   end subroutine carry

   !> How long the tendencies last and how strong they are.
   pure subroutine scale(c, x, y)
      type(constants), intent(in) :: c
      type(sounding), intent(in) :: x
      type(answer), intent(inout) :: y
      integer :: k
      real(dp) :: strength, speed, turning
      k = (y%bottom + y%top)/2
      ! the surface's stirring sets the pace: friction and, where it heats an unstable layer, convection
      turning = x%ust
      if (x%zol < 0) then
         turning = turning + (c%g/x%t(1)*max(x%hfx, 0.0_dp)/c%cp*max(x%pblh, 10.0_dp))**(1.0_dp/3.0_dp)
      end if
      y%timec = min(max((x%z(y%top) - x%z(1))/(1 + turning), 1800.0_dp), 3600.0_dp)
      speed = max(hypot(x%u(k), x%v(k)), 0.1_dp)
      y%lasts = c%cudt*60
      if (y%kind == deep) y%lasts = max(nint(min(c%dx/speed, y%timec)/c%dt), 1)*c%dt
      y%lasts = max(y%lasts, c%dt)

      strength = lifted*source_depth/c%g/y%timec
      do k = 1, y%top
         if (y%qv(k) < 0) strength = min(strength, most_dried*max(x%q(k), 0.0_dp)/(-y%qv(k)*y%lasts))
         if (abs(y%t(k)) > 0) strength = min(strength, most_warmed/(abs(y%t(k))*y%lasts))
      end do
      call strengthen(strength, y)
      y%cover = 0
      y%cover(y%bottom:y%top) = merge(0.14_dp, 0.07_dp, y%kind == deep)*log(1 + 500*strength)
      y%cover = min(y%cover, merge(0.6_dp, 0.2_dp, y%kind == deep))
   end subroutine scale

   pure subroutine strengthen(strength, y)
      real(dp), intent(in) :: strength
      type(answer), intent(inout) :: y
      y%t = strength*y%t
      y%qv = strength*y%qv
      y%qc = strength*y%qc
      y%qr = strength*y%qr
      y%qi = strength*y%qi
      y%qs = strength*y%qs
      y%u = strength*y%u
      y%v = strength*y%v
      y%entrained = strength*y%entrained
      y%detrained = strength*y%detrained
   end subroutine strengthen

end module standin_adjustment
