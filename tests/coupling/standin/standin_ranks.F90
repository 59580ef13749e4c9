!> The ranks of the stand-in: one without MPI.
module standin_ranks
   use, intrinsic :: iso_c_binding, only: c_char, c_int, c_null_char
#ifdef USE_MPI
   use mpi, only: mpi_abort, mpi_barrier, mpi_comm_rank, mpi_comm_size, mpi_comm_world, mpi_finalize, &
                  mpi_init_thread, mpi_thread_serialized
#endif
   implicit none(type, external)
   private
   public :: end_all_ranks, finish_ranks, me, part, ranks, start_ranks, wait_for_all

   integer, protected :: me = 0
   integer, protected :: ranks = 1

   interface
      integer(c_int) function creat(path, mode) bind(C, name="creat")
         import :: c_char, c_int
         implicit none(type, external)
         ! allow(C071)
         character(kind=c_char), intent(in) :: path(*)
         integer(c_int), value :: mode
      end function creat
      integer(c_int) function dup2(from, to) bind(C, name="dup2")
         import :: c_int
         implicit none(type, external)
         integer(c_int), value :: from, to
      end function dup2
   end interface

contains

   subroutine start_ranks()
#ifdef USE_MPI
      integer :: provided, status
      ! only one thread at a time ends the run, but it may be any
      call mpi_init_thread(mpi_thread_serialized, provided, status)
      call mpi_comm_rank(mpi_comm_world, me, status)
      call mpi_comm_size(mpi_comm_world, ranks, status)
#endif
      if (ranks > 1) then
         call redirect(1, "rsl.out.")
         call redirect(2, "rsl.error.")
      end if
   end subroutine start_ranks

   !> Write a stream of this rank to a file of its own, as WRF does. The launcher may lose what ranks that
   !> abort wrote to its pipes.
   subroutine redirect(stream, name)
      integer, intent(in) :: stream
      character(len=*), intent(in) :: name
      character(len=4) :: number
      integer(c_int) :: file
      write (number, "(i4.4)") me
      file = creat(name//number//c_null_char, int(o"644", c_int))
      if (file < 0) error stop "standin: cannot create "//name//number
      if (dup2(file, int(stream, c_int)) < 0) error stop "standin: cannot redirect to "//name//number
   end subroutine redirect

   subroutine finish_ranks()
#ifdef USE_MPI
      integer :: status
      call mpi_finalize(status)
#endif
   end subroutine finish_ranks

   subroutine wait_for_all()
#ifdef USE_MPI
      integer :: status
      call mpi_barrier(mpi_comm_world, status)
#endif
   end subroutine wait_for_all

   subroutine end_all_ranks(code)
      integer, intent(in) :: code
#ifdef USE_MPI
      integer :: status
      call mpi_abort(mpi_comm_world, code, status)
#endif
      stop code, quiet=.true.
   end subroutine end_all_ranks

   !> The block of the domain that this rank has; blocks are as square as the number of ranks allows.
   subroutine part(ni, nj, first_i, last_i, first_j, last_j)
      integer, intent(in) :: ni, nj
      integer, intent(out) :: first_i, last_i, first_j, last_j
      integer :: across
      across = int(sqrt(real(ranks)))
      do while (modulo(ranks, across) /= 0)
         across = across - 1
      end do
      call share(ni, across, modulo(me, across), first_i, last_i)
      call share(nj, ranks/across, me/across, first_j, last_j)
   end subroutine part

   subroutine share(n, parts, number, first, last)
      integer, intent(in) :: n, parts, number
      integer, intent(out) :: first, last
      first = n*number/parts + 1
      last = n*(number + 1)/parts
   end subroutine share

end module standin_ranks
