!> A rank's part of the domain: fields with a halo, and state files, which all ranks share.
!>
!> A state file is a raw stream in the machine's own byte order: 8 integers of 4 bytes (1396919628, 1, ni, nj,
!> nk, profiles, surfaces, steps done), 3 reals of 4 bytes (DX in m, DT in s, CUDT in min), the fields' names,
!> and the fields of the whole domain, (ni, nk + 1, nj) or (ni, nj). One of no steps is where a run begins.
module standin_domain
   use, intrinsic :: ieee_arithmetic, only: ieee_is_nan, ieee_quiet_nan, ieee_value
   use, intrinsic :: iso_fortran_env, only: int32, int64, real32
   use standin_fields, only: all_profiles, f_rqvf, f_w, f_w_mean, name_length, profile_names, profiles, &
                             s_active, surface_names, surfaces
   use standin_ranks, only: me, part, ranks, wait_for_all
   implicit none(type, external)
   private
   public :: domain, halo_is_untouched, read_state, write_state

   integer(int32), parameter :: magic = 1396919628_int32
   integer, parameter :: halo = 3

   type :: domain
      integer :: ni, nj, nk, step
      integer :: ims, ime, jms, jme, kms, kme
      integer :: ips, ipe, jps, jpe
      real(real32) :: settings(3) ! DX, DT, CUDT
      real(real32), allocatable :: profile(:, :, :, :), surface(:, :, :)
      logical, allocatable :: active(:, :)
   end type domain

contains

   subroutine read_state(path, d, complaint)
      character(len=*), intent(in) :: path
      type(domain), intent(out) :: d
      character(len=:), allocatable, intent(out) :: complaint
      integer :: unit, status, n, j
      integer(int32) :: head(8)
      character(len=name_length) :: names(profiles + surfaces)
      real(real32), allocatable :: slab(:, :), row(:)
      complaint = ""
      open (newunit=unit, file=path, access="stream", form="unformatted", action="read", status="old", &
            iostat=status)
      if (status == 0) read (unit, iostat=status) head, d%settings, names
      if (status /= 0) complaint = "cannot read "//path
      if (complaint /= "") return
      if (any(head([1, 2, 6, 7]) /= [magic, 1, profiles, surfaces]) .or. &
          any(names /= [profile_names(:profiles), surface_names])) complaint = path//" is of another stand-in"
      if (complaint /= "") return
      d%ni = head(3)
      d%nj = head(4)
      d%nk = head(5)
      d%step = head(8)
      call allocate_fields(d)
      allocate (slab(d%ni, d%nk + 1), row(d%ni))
      do n = 1, profiles
         do j = d%jps, d%jpe
            read (unit, pos=profile_place(d, n, 1, j), iostat=status) slab
            if (status /= 0) complaint = path//" ends too early"
            d%profile(d%ips:d%ipe, :, j, n) = slab(d%ips:d%ipe, :)
         end do
      end do
      do n = 1, surfaces
         do j = d%jps, d%jpe
            read (unit, pos=surface_place(d, n, j), iostat=status) row
            if (status /= 0) complaint = path//" ends too early"
            d%surface(d%ips:d%ipe, j, n) = row(d%ips:d%ipe)
         end do
      end do
      close (unit)
      d%active(d%ips:d%ipe, d%jps:d%jpe) = d%surface(d%ips:d%ipe, d%jps:d%jpe, s_active) > 0
   end subroutine read_state

   !> Halo and spare level are NaN: what reads them shows, and so does what writes them.
   subroutine allocate_fields(d)
      type(domain), intent(inout) :: d
      call part(d%ni, d%nj, d%ips, d%ipe, d%jps, d%jpe)
      d%ims = d%ips - halo
      d%ime = d%ipe + halo
      d%jms = d%jps - halo
      d%jme = d%jpe + halo
      d%kms = 1
      d%kme = d%nk + 1
      allocate (d%profile(d%ims:d%ime, d%kms:d%kme, d%jms:d%jme, all_profiles), &
                source=ieee_value(0.0_real32, ieee_quiet_nan))
      allocate (d%surface(d%ims:d%ime, d%jms:d%jme, surfaces), source=ieee_value(0.0_real32, ieee_quiet_nan))
      allocate (d%active(d%ims:d%ime, d%jms:d%jme), source=.false.)
      d%profile(d%ips:d%ipe, 1:d%nk, d%jps:d%jpe, f_rqvf:) = 0
   end subroutine allocate_fields

   logical function halo_is_untouched(d)
      type(domain), intent(in) :: d
      integer :: i, j, n
      logical :: outside, faces
      halo_is_untouched = .true.
      do n = 1, all_profiles
         faces = n == f_w .or. n == f_w_mean
         do j = d%jms, d%jme
            do i = d%ims, d%ime
               outside = i < d%ips .or. i > d%ipe .or. j < d%jps .or. j > d%jpe
               if (outside .and. .not. all(ieee_is_nan(d%profile(i, :, j, n)))) halo_is_untouched = .false.
               if (.not. faces .and. .not. ieee_is_nan(d%profile(i, d%kme, j, n))) halo_is_untouched = .false.
               if (.not. outside .or. n > surfaces) cycle
               if (.not. ieee_is_nan(d%surface(i, j, n))) halo_is_untouched = .false.
            end do
         end do
      end do
   end function halo_is_untouched

   !> Rank after rank, each its own rows.
   subroutine write_state(path, d)
      character(len=*), intent(in) :: path
      type(domain), intent(in) :: d
      integer :: unit, turn, n, j, k
      do turn = 0, ranks - 1
         if (turn == me) then
            if (me == 0) then
               open (newunit=unit, file=path, access="stream", form="unformatted", action="readwrite", &
                     status="replace")
               write (unit) magic, 1_int32, int([d%ni, d%nj, d%nk, profiles, surfaces, d%step], int32), &
                  d%settings, profile_names(:profiles), surface_names
            else
               open (newunit=unit, file=path, access="stream", form="unformatted", action="readwrite", &
                     status="old")
            end if
            do n = 1, profiles
               do j = d%jps, d%jpe
                  do k = 1, d%kme
                     write (unit, pos=profile_place(d, n, k, j) + 4*(d%ips - 1)) &
                        d%profile(d%ips:d%ipe, k, j, n)
                  end do
               end do
            end do
            do n = 1, surfaces
               do j = d%jps, d%jpe
                  write (unit, pos=surface_place(d, n, j) + 4*(d%ips - 1)) d%surface(d%ips:d%ipe, j, n)
               end do
            end do
            close (unit)
         end if
         call wait_for_all()
      end do
   end subroutine write_state

   !> Where level k of row j of a profile starts.
   pure integer(int64) function profile_place(d, n, k, j)
      type(domain), intent(in) :: d
      integer, intent(in) :: n, k, j
      profile_place = head_size() + 4_int64*d%ni*((n - 1_int64)*d%nj*d%kme + (j - 1)*d%kme + k - 1) + 1
   end function profile_place

   pure integer(int64) function surface_place(d, n, j)
      type(domain), intent(in) :: d
      integer, intent(in) :: n, j
      surface_place = head_size() + 4_int64*d%ni*(int(profiles, int64)*d%nj*d%kme + (n - 1)*d%nj + j - 1) + 1
   end function surface_place

   pure integer(int64) function head_size()
      head_size = 4*(8 + 3) + name_length*(profiles + surfaces)
   end function head_size

end module standin_domain
