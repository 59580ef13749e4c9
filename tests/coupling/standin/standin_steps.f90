!> What the stand-in does beside the scheme: weather that needs no neighbours, and the bookkeeping of rain.
module standin_steps
   use, intrinsic :: iso_fortran_env, only: real32, real64
   use standin_domain, only: domain
   use standin_fields, only: f_dz, f_p, f_pi, f_qc, f_qi, f_qr, f_qs, f_qv, f_rho, f_rqc, f_rqi, f_rqr, &
                             f_rqs, f_rqv, f_rqvf, f_rth, f_ru, f_rv, f_t, f_th, f_u, f_v, f_w, f_w_mean, &
                             s_moistened, s_nca, s_pratec, s_rain_late, s_rainc
   implicit none(type, external)
   private
   public :: advance, prepare

   real(real64), parameter :: day = 86400.0_real64, turn = 2*acos(-1.0_real64)

contains

   !> Temperature, vertical wind and moistening at the start of a step.
   subroutine prepare(d, step, threads)
      type(domain), intent(inout) :: d
      integer, intent(in) :: step, threads
      integer :: i, j, k
      real(real64) :: phase, seconds, swing, push, z
      seconds = (step - 1)*real(d%settings(2), real64)
      !$omp parallel do default(none) shared(d, seconds) private(i, j, k, phase, swing, push, z) &
      !$omp num_threads(threads)
      do j = d%jps, d%jpe
         do i = d%ips, d%ipe
            ! every column of the whole domain has its own place in the swing
            phase = modulo(0.618_real64*i + 0.755_real64*j, 1.0_real64)
            swing = 1 + 0.7_real64*sin(turn*(seconds/2700 + phase))
            push = 0.12_real64*sin(turn*(seconds/3600 + 2*phase))
            z = 0
            do k = 1, d%kme
               d%profile(i, k, j, f_w) = real(d%profile(i, k, j, f_w_mean)*swing &
                                              + push*sin(turn/2*min(z/12000, 1.0_real64)), real32)
               if (k == d%kme) exit
               d%profile(i, k, j, f_t) = d%profile(i, k, j, f_th)*d%profile(i, k, j, f_pi)
               d%profile(i, k, j, f_rqvf) = real((1 + 0.5_real64*sin(turn*phase))*4.0e-3_real64/day &
                                                 *exp(-z/2500), real32)
               z = z + d%profile(i, k, j, f_dz)
            end do
         end do
      end do
      !$omp end parallel do
   end subroutine prepare

   !> Add the tendencies, cool, moisten, and count rain and the time that convection lasts.
   subroutine advance(d, threads)
      type(domain), intent(inout) :: d
      integer, intent(in) :: threads
      integer :: i, j
      !$omp parallel do default(none) shared(d) private(i, j) num_threads(threads)
      do j = d%jps, d%jpe
         do i = d%ips, d%ipe
            call add_tendencies(d, i, j)
            call count_rain(d, i, j)
         end do
      end do
      !$omp end parallel do
   end subroutine advance

   subroutine add_tendencies(d, i, j)
      type(domain), intent(inout) :: d
      integer, intent(in) :: i, j
      integer :: k, n
      integer, parameter :: states(8) = [f_th, f_qv, f_qc, f_qr, f_qi, f_qs, f_u, f_v]
      integer, parameter :: rates(8) = [f_rth, f_rqv, f_rqc, f_rqr, f_rqi, f_rqs, f_ru, f_rv]
      real(real32) :: dt, rate
      real(real64) :: water
      dt = d%settings(2)
      water = 0
      do k = 1, d%nk
         do n = 1, size(states)
            rate = d%profile(i, k, j, rates(n))
            if (states(n) == f_th .and. d%profile(i, k, j, f_p) > 15000) then
               rate = rate - real(2/day, real32)/d%profile(i, k, j, f_pi)
            end if
            if (states(n) == f_qv) rate = rate + d%profile(i, k, j, f_rqvf)
            d%profile(i, k, j, states(n)) = d%profile(i, k, j, states(n)) + dt*rate
         end do
         water = water + real(d%profile(i, k, j, f_rho), real64)*d%profile(i, k, j, f_dz) &
                 *d%profile(i, k, j, f_rqvf)
      end do
      d%surface(i, j, s_moistened) = d%surface(i, j, s_moistened) + real(dt*water, real32)
   end subroutine add_tendencies

   !> As WRF does at the end of each step. PRATEC and the tendencies of momentum stay until the next call.
   subroutine count_rain(d, i, j)
      type(domain), intent(inout) :: d
      integer, intent(in) :: i, j
      real(real32) :: dt, rain
      dt = d%settings(2)
      rain = d%surface(i, j, s_pratec)*dt
      d%surface(i, j, s_rainc) = d%surface(i, j, s_rainc) + rain
      if (d%surface(i, j, s_nca) > 0) then
         if (nint(d%surface(i, j, s_nca)/dt) <= 1) d%profile(i, 1:d%nk, j, f_rth:f_rqs) = 0
         d%surface(i, j, s_nca) = d%surface(i, j, s_nca) - dt
      else
         d%surface(i, j, s_rain_late) = d%surface(i, j, s_rain_late) + rain
      end if
   end subroutine count_rain

end module standin_steps
