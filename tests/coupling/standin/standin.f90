!> A host that calls its cumulus scheme as WRF does: on its own weather, tile by tile, on threads and ranks.
!>
!>     standin SETTINGS      a file with the namelist &standin of standin_forecast.f90
!>
!> Columns are independent, so the outputs must have the same bits for all tiles, threads and ranks, and for
!> a run that stops and starts again. The tests compare replacements of `mskf_cps` with that.
program standin
   use standin_forecast, only: forecast
   use standin_ranks, only: finish_ranks, start_ranks
   implicit none(type, external)
   call start_ranks()
   call forecast()
   call finish_ranks()
end program standin
