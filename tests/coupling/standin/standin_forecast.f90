!> A run of the stand-in: its settings, its steps, and the call of the scheme.
module standin_forecast
   use, intrinsic :: iso_fortran_env, only: int64, real32
   use module_cu_mskf, only: mskf_cps
   use standin_domain, only: domain, halo_is_untouched, read_state, write_state
   ! allow(C121)
   use standin_fields ! its names all begin with f_ or s_, or are counts
   use standin_history, only: begin_history, end_history, history, write_record
   use standin_ranks, only: me, wait_for_all
   use standin_steps, only: advance, prepare
   implicit none(type, external)
   private
   public :: forecast

   interface
      subroutine wrf_error_fatal(text)
         implicit none(type, external)
         character(len=*), intent(in) :: text
      end subroutine wrf_error_fatal
   end interface

   integer, parameter :: options = 7
   character(len=*), parameter :: no_file = "(none)"

contains

   !> From the settings' first word to the last record; all memory is freed, so that leaks are others'.
   subroutine forecast()
      character(len=512) :: state_in, state_out, absent
      integer :: steps, tile_i, tile_j, threads, history_interval, kf_edrates, abort_step
      logical :: adapt_step, warm_rain, ice
      type(domain) :: d
      type(history) :: h
      character(len=:), allocatable :: complaint
      character(len=24) :: name
      integer :: step, stepcu, calls
      integer(int64) :: ticks, begin, finish, rate
      ! Unallocated, a variable is an absent argument.
      logical, allocatable :: adapt_step_flag, f_qv_there, f_qc_there, f_qr_there, f_qi_there, f_qs_there
      real(real32), allocatable :: aerocu(:, :, :, :)

      call read_settings()
      call read_state(trim(state_in), d, complaint)
      if (complaint /= "") call wrf_error_fatal("standin: "//complaint)
      call offer_options()
      stepcu = max(1, nint(d%settings(3)*60/d%settings(2)))

      write (name, "(a, i6.6, a, i4.4, a)") "history_", d%step, "_", me, ".nc"
      h%ni = d%ipe - d%ips + 1
      h%nj = d%jpe - d%jps + 1
      h%nk = d%nk
      h%first_i = d%ips
      h%first_j = d%jps
      call begin_history(h, trim(name), d%settings)
      ticks = 0
      calls = 0
      call prepare(d, d%step + 1, threads)
      if (d%step == 0) call record()
      do step = d%step + 1, d%step + steps
         call prepare(d, step, threads)
         if (step == 1 .or. modulo(step, stepcu) == 0) call cumulus()
         call advance(d, threads)
         d%step = step
         if (step == abort_step) call abort_all()
         if (modulo(step, history_interval) == 0) call record()
      end do
      call end_history(h)
      if (.not. halo_is_untouched(d)) call wrf_error_fatal("standin: somebody wrote outside the tiles")
      if (state_out /= no_file) call write_state(trim(state_out), d)
      if (me == 0 .and. calls > 0) print "(a, f0.2, a, i0, a, i0, a)", "cumulus: ", &
         real(ticks)/real(rate)*1.0e6/real(calls*h%ni*h%nj), " us a column, ", calls, " calls of ", &
         h%ni*h%nj, " columns"

   contains

      subroutine read_settings()
         character(len=512) :: path
         integer :: unit, status
         namelist /standin/ state_in, state_out, steps, tile_i, tile_j, threads, history_interval, &
            kf_edrates, abort_step, absent, adapt_step, warm_rain, ice
         state_in = no_file
         state_out = no_file ! written at the end
         steps = 12
         tile_i = 0 ! columns at most; 0: all of the rank
         tile_j = 0
         threads = 1
         history_interval = 6 ! steps
         kf_edrates = 0
         abort_step = 0 ! step after which the first rank aborts; 0: none
         absent = "" ! names of optional arguments that are not passed
         adapt_step = .false.
         warm_rain = .false.
         ice = .true. ! whether the microphysics knows ice and snow
         call get_command_argument(1, path)
         open (newunit=unit, file=trim(path), action="read", status="old", iostat=status)
         if (status == 0) read (unit, nml=standin, iostat=status)
         if (status /= 0) call wrf_error_fatal("standin: cannot read the settings in `"//trim(path)//"`")
         close (unit)
      end subroutine read_settings

      !> End all ranks in the middle of the run, after the calls of this step.
      subroutine abort_all()
         call wait_for_all()
         if (me == 0) call wrf_error_fatal("standin: aborts after the step that was asked for")
         call wait_for_all()
      end subroutine abort_all

      !> Allocate what is passed of the optional arguments.
      subroutine offer_options()
         character(len=*), parameter :: names(options) = [character(len=15) :: &
            "adapt_step_flag", "f_qv", "f_qc", "f_qr", "f_qi", "f_qs", "aerocu"]
         integer :: n
         do n = 1, options
            if (index(absent, trim(names(n))) > 0) cycle
            select case (names(n))
            case ("adapt_step_flag")
               allocate (adapt_step_flag, source=adapt_step)
            case ("f_qv")
               allocate (f_qv_there, source=.true.)
            case ("f_qc")
               allocate (f_qc_there, source=.true.)
            case ("f_qr")
               allocate (f_qr_there, source=.true.)
            case ("f_qi")
               allocate (f_qi_there, source=ice)
            case ("f_qs")
               allocate (f_qs_there, source=ice)
            case default
               allocate (aerocu(d%ims:d%ime, d%kms:d%kme, d%jms:d%jme, 1), source=0.0_real32)
            end select
         end do
      end subroutine offer_options

      !> The scheme, on all tiles of this rank.
      subroutine cumulus()
         integer :: tile, across, along, width, height, its, jts
         width = tile_i
         height = tile_j
         if (width < 1) width = h%ni
         if (height < 1) height = h%nj
         across = (h%ni - 1)/width + 1
         along = (h%nj - 1)/height + 1
         call system_clock(begin, rate)
         !$omp parallel do default(shared) private(tile, its, jts) schedule(dynamic) num_threads(threads)
         do tile = 0, across*along - 1
            its = d%ips + modulo(tile, across)*width
            jts = d%jps + tile/across*height
            call on_tile(d%profile, d%surface, its, min(its + width - 1, d%ipe), jts, &
                         min(jts + height - 1, d%jpe))
         end do
         !$omp end parallel do
         call system_clock(finish)
         ticks = ticks + finish - begin
         calls = calls + 1
         d%surface(d%ips:d%ipe, d%jps:d%jpe, s_active) = merge(1.0_real32, 0.0_real32, &
                                                               d%active(d%ips:d%ipe, d%jps:d%jpe))
      end subroutine cumulus

      !> One call, with the arguments that WRF's driver gives; the domain's ends are the staggered grid's.
      subroutine on_tile(x, s, its, ite, jts, jte)
         real(real32), contiguous, intent(inout) :: x(:, :, :, :), s(:, :, :)
         integer, intent(in) :: its, ite, jts, jte
         real(real32), parameter :: r_d = 287.0_real32, r_v = 461.6_real32
         integer, parameter :: a = f_aerosol
         call mskf_cps(1, d%ni + 1, 1, d%nj + 1, 1, d%nk + 1, d%ims, d%ime, d%jms, d%jme, d%kms, d%kme, its, &
                       ite, jts, jte, 1, d%nk, 1, d%settings(2), step, d%settings(1), d%settings(3), &
                       adapt_step_flag, x(:, :, :, f_rho), s(:, :, s_raincv), s(:, :, s_pratec), &
                       s(:, :, s_nca), x(:, :, :, f_u), x(:, :, :, f_v), x(:, :, :, f_th), x(:, :, :, f_t), &
                       x(:, :, :, f_w), x(:, :, :, f_dz), x(:, :, :, f_p), x(:, :, :, f_pi), &
                       x(:, :, :, f_w0avg), 3.15e6_real32, 2370.0_real32, 2.905e6_real32, 259.532_real32, &
                       7*r_d/2, r_d, 9.81_real32, r_v/r_d - 1, r_d/r_v, 0.6112_real32, 17.67_real32, &
                       29.65_real32, 273.15_real32, stepcu, d%active, warm_rain, s(:, :, s_cutop), &
                       s(:, :, s_cubot), x(:, :, :, f_qv), f_qv_there, f_qc_there, f_qr_there, f_qi_there, &
                       f_qs_there, x(:, :, :, f_rth), x(:, :, :, f_rqv), x(:, :, :, f_rqc), &
                       x(:, :, :, f_rqr), x(:, :, :, f_rqi), x(:, :, :, f_rqs), x(:, :, :, f_rqvf), &
                       x(:, :, :, f_cldfra_dp), x(:, :, :, f_cldfra_sh), x(:, :, :, f_qc_cu), &
                       x(:, :, :, f_qi_cu), x(:, :, :, a + 1), x(:, :, :, a + 2), x(:, :, :, a + 3), &
                       x(:, :, :, a + 4), x(:, :, :, a + 5), x(:, :, :, a + 6), x(:, :, :, a + 7), &
                       s(:, :, s_ainc), x(:, :, :, f_udr), x(:, :, :, f_ddr), x(:, :, :, f_uer), &
                       x(:, :, :, f_der), s(:, :, s_timec), kf_edrates, s(:, :, s_zol), s(:, :, s_hfx), &
                       s(:, :, s_ust), s(:, :, s_pblh), aerocu, 1, 1.0_real32, 0, x(:, :, :, a + 8), &
                       x(:, :, :, a + 9), x(:, :, :, a + 10), x(:, :, :, f_ru), x(:, :, :, f_rv), &
                       s(:, :, s_xland))
      end subroutine on_tile

      subroutine record()
         real(real32), allocatable :: planes(:, :, :), layers(:, :, :, :)
         integer :: k
         allocate (layers(h%ni, h%nj, d%kme, size(profile_names)))
         planes = d%surface(d%ips:d%ipe, d%jps:d%jpe, :)
         do k = 1, d%kme
            layers(:, :, k, :) = d%profile(d%ips:d%ipe, k, d%jps:d%jpe, :size(profile_names))
         end do
         call write_record(h, d%step, planes, layers)
      end subroutine record

   end subroutine forecast

end module standin_forecast
