!> The columns of the host: their state, the outputs of the scheme, and input and output of both.
!>
!> All streams are raw, in native byte order, without record markers.
!>   INPUT: 20 integers of 4 bytes: 1396919629, 1, members, levels, steps, STEPCU, steps between records,
!>     zeros; reals of 8 bytes: DX (m), DT (s), CUDT (min); the 11 numbers of type(climate); p (Pa), mass (kg
!>     m-2), u, v (m s-1), w (m s-1), each by level; t (K), qv (kg kg-1), each (level, member); the factor
!>     of w at each call of the scheme, (member, 1 + steps/STEPCU).
!>   OUTPUT: the same integers; in each record, reals of 8 bytes: t, qv, qc, u, v, the means since the
!>     previous record of heating by convection (K s-1), moistening by convection (kg kg-1 s-1) and heating
!>     by condensation (K s-1), W0AVG (m s-1), each (level, member); then the sums s_*, each (member).
module column_domain
   use, intrinsic :: iso_fortran_env, only: int32, real32, real64
   use column_physics, only: climate, cp, gravity, lv, surface_layer
   implicit none(type, external)
   private
   public :: domain, read_input, read_state, write_record, write_state

   integer(int32), parameter :: magic = 1396919629_int32, state_magic = 1396919630_int32
   integer, parameter, public :: f_t = 1, f_qv = 2, f_qc = 3, f_u = 4, f_v = 5, fields = 5
   !> Numbers of fields of the scheme, and the index of each among its inputs (in_*) and outputs (out_*).
   ! generated from sciml/schemes/mskf.py: do not edit (indices)
   integer, parameter, public :: profiles_in = 9, surfaces_in = 4, profiles_out = 12, &
                                 surfaces_out = 5
   integer, parameter, public :: in_u = 1, in_v = 2, in_t = 3, in_qv = 4, in_p_hyd = 5, &
                                 in_dz8w = 6, in_rho = 7, in_pi = 8, in_w0avg = 9
   integer, parameter, public :: in_zol = 1, in_hfx = 2, in_ust = 3, in_pblh = 4
   integer, parameter, public :: out_rthcuten = 1, out_rqvcuten = 2, out_rqccuten = 3, &
                                 out_rqrcuten = 4, out_rqicuten = 5, out_rqscuten = 6, &
                                 out_rucuten = 7, out_rvcuten = 8, out_cldfra_dp = 9, &
                                 out_cldfra_sh = 10, out_qc_cu = 11, out_qi_cu = 12
   integer, parameter, public :: out_pratec = 1, out_nca = 2, out_cutop = 3, out_cubot = 4, &
                                 out_novelty = 5
   ! end of the generated part
   integer, parameter, public :: m_heating = 1, m_moistening = 2, m_condensing = 3, means = 3
   !> Indices of sums per member. State: water (kg m-2), enthalpy (J m-2), depth of the boundary layer (m).
   !> Since the last record: water (kg m-2), heat (J m-2), counts. `coupled`: change of the column by the
   !> applied tendencies: water, enthalpy with the host's lv, enthalpy with the scheme's Lv(T), sum |cp dT|.
   enum, bind(C)
      enumerator :: s_water = 1, s_enthalpy, s_depth, s_evaporation, s_rain_convective, s_rain_condensed
      enumerator :: s_returned, s_rain_late, s_coupled_water, s_sensible, s_radiation, s_coupled_enthalpy
      enumerator :: s_scheme_enthalpy, s_coupled_heating, s_evaluated, s_shallow, s_deep, s_novel, s_novelty
      enumerator :: s_unsound, s_limited, s_least_vapour
   end enum
   integer, parameter, public :: sums = 22
   public :: s_coupled_enthalpy, s_coupled_heating, s_coupled_water, s_deep, s_depth, s_enthalpy, s_evaluated
   public :: s_evaporation, s_least_vapour, s_limited, s_novel, s_novelty, s_radiation, s_rain_condensed
   public :: s_rain_convective, s_rain_late, s_returned, s_scheme_enthalpy, s_sensible, s_shallow, s_unsound
   public :: s_water

   type :: domain
      integer :: members = 0, levels = 0, steps = 0, stepcu = 1, interval = 1
      integer :: step = 0 !< last step completed
      real(real64) :: dx = 0, dt = 0, cudt = 0
      type(climate) :: climate
      real(real64), allocatable :: p(:), mass(:), pi(:), u(:), v(:), w(:) !< by level
      real(real64), allocatable :: amplitude(:, :)                        !< (member, call)
      real(real64), allocatable :: state(:, :, :)                         !< (level, member, f_*)
      real(real64), allocatable :: mean(:, :, :)                          !< (level, member, m_*): sums
      real(real64), allocatable :: total(:, :)                            !< (member, s_*)
      type(surface_layer), allocatable :: surface(:)
      ! Inputs and outputs of the scheme, in WRF's order (i, k, j) with the members along i. The last index
      ! is the field, in_* or out_*.
      real(real32), allocatable :: in3(:, :, :, :), in2(:, :, :), out3(:, :, :, :), out2(:, :, :)
      integer(int32), allocatable :: answered(:, :)
   end type domain

contains

   !> Read INPUT; complaint is empty if there is no error.
   subroutine read_input(path, d, header, complaint)
      character(len=*), intent(in) :: path
      type(domain), intent(out) :: d
      integer(int32), intent(out) :: header(20)
      character(len=:), allocatable, intent(out) :: complaint
      integer :: unit, trouble

      complaint = ""
      open (newunit=unit, file=path, access="stream", form="unformatted", action="read", status="old", &
            iostat=trouble)
      if (trouble /= 0) then
         complaint = "cannot open "//path
         return
      end if
      read (unit, iostat=trouble) header
      if (trouble /= 0 .or. header(1) /= magic .or. header(2) /= 1 .or. minval(header(3:7)) < 1) then
         complaint = path//" is no input of this version and byte order"
      else
         call make(d, header, trouble)
         if (trouble /= 0) then
            complaint = "no memory for the columns"
         else
            read (unit, iostat=trouble) d%dx, d%dt, d%cudt, d%climate, d%p, d%mass, d%u, d%v, d%w, &
               d%state(:, :, f_t), d%state(:, :, f_qv), d%amplitude
            if (trouble /= 0) complaint = path//" ends too early: write it again"
         end if
      end if
      close (unit)
      if (complaint /= "") return
      d%state(:, :, f_qc) = 0
      d%state(:, :, f_u) = spread(d%u, 2, d%members)
      d%state(:, :, f_v) = spread(d%v, 2, d%members)
      d%pi = (d%p/1.0e5_real64)**(2.0_real64/7)
   end subroutine read_input

   !> Allocate the arrays that the header describes, with initial values.
   subroutine make(d, header, trouble)
      type(domain), intent(inout) :: d
      integer(int32), intent(in) :: header(20)
      integer, intent(out) :: trouble

      d%members = header(3)
      d%levels = header(4)
      d%steps = header(5)
      d%stepcu = header(6)
      d%interval = header(7)
      associate (n => d%members, kte => d%levels)
         allocate (d%amplitude(n, 1 + d%steps/d%stepcu), stat=trouble) ! which may be large
         if (trouble /= 0) return
         allocate (d%p(kte), d%mass(kte), d%pi(kte), d%u(kte), d%v(kte), d%w(kte), d%state(kte, n, fields), &
                   d%mean(kte, n, means), d%total(n, sums), d%surface(n), d%in3(n, kte, 1, profiles_in), &
                   d%in2(n, 1, surfaces_in), d%out3(n, kte, 1, profiles_out), &
                   d%out2(n, 1, surfaces_out), d%answered(n, 1))
      end associate
      d%mean = 0
      d%total = 0
      d%in3 = 0 ! includes W0AVG, as at the start of WRF
      d%in2 = 0
      d%out3 = 0
      d%out2 = 0
      d%out2(:, :, out_nca) = -100 ! no column is held
      d%answered = 0
   end subroutine make

   !> Write a record of OUTPUT and reset the sums.
   subroutine write_record(unit, d, trouble)
      integer, intent(in) :: unit
      type(domain), intent(inout) :: d
      integer, intent(out) :: trouble
      integer :: m

      do m = 1, d%members
         associate (t => d%state(:, m, f_t), qv => d%state(:, m, f_qv), qc => d%state(:, m, f_qc))
            d%total(m, s_water) = sum(d%mass*(qv + qc))
            d%total(m, s_enthalpy) = sum(d%mass*(cp*t + lv*qv))
         end associate
         d%total(m, s_depth) = d%surface(m)%depth
      end do
      d%mean = d%mean/(d%interval*d%dt)
      write (unit, iostat=trouble) d%state, d%mean, real(transpose(d%in3(:, :, 1, in_w0avg)), real64), d%total
      if (trouble /= 0) return
      d%mean = 0
      d%total = 0
      d%total(:, s_least_vapour) = huge(1.0_real64)
   end subroutine write_record

   !> Write the state from which a run can be resumed.
   subroutine write_state(path, d, trouble)
      character(len=*), intent(in) :: path
      type(domain), intent(in) :: d
      integer, intent(out) :: trouble
      integer :: unit

      open (newunit=unit, file=path, access="stream", form="unformatted", action="write", status="replace", &
            iostat=trouble)
      if (trouble /= 0) return
      write (unit, iostat=trouble) state_magic, d%members, d%levels, d%stepcu, d%interval, d%step, d%dt, &
         d%state, d%mean, d%total, d%in3, d%in2, d%out3, d%out2, d%answered
      if (trouble /= 0) return
      close (unit, iostat=trouble)
      if (trouble /= 0) return ! the file is incomplete
   end subroutine write_state

   !> Read the state of a previous run of the same columns.
   subroutine read_state(path, d, complaint)
      character(len=*), intent(in) :: path
      type(domain), intent(inout) :: d
      character(len=:), allocatable, intent(out) :: complaint
      integer(int32) :: stamp(5)
      real(real64) :: dt
      integer :: unit, trouble

      complaint = ""
      open (newunit=unit, file=path, access="stream", form="unformatted", action="read", status="old", &
            iostat=trouble)
      if (trouble /= 0) then
         complaint = "cannot open the state "//path
         return
      end if
      read (unit, iostat=trouble) stamp, d%step, dt
      if (trouble == 0) then
         if (any(stamp /= [state_magic, d%members, d%levels, d%stepcu, d%interval]) .or. &
             abs(dt - d%dt) > 0) complaint = path//" is no state of these columns"
         if (complaint == "") read (unit, iostat=trouble) d%state, d%mean, d%total, d%in3, d%in2, d%out3, &
            d%out2, d%answered
      end if
      if (trouble /= 0) complaint = path//" ends too early: begin again"
      close (unit)
   end subroutine read_state

end module column_domain
