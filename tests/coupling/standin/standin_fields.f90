!> The names and the order of the stand-in's fields: in memory, in its state files and in its history.
module standin_fields
   implicit none(type, external)
   public

   integer, parameter :: name_length = 12

   enum, bind(c)
      enumerator :: f_u = 1, f_v, f_th, f_qv, f_qc, f_qr, f_qi, f_qs, f_p, f_dz, f_rho, f_pi, f_w, f_w_mean
      enumerator :: f_w0avg, f_rth, f_rqv, f_rqc, f_rqr, f_rqi, f_rqs, f_ru, f_rv
      enumerator :: f_cldfra_dp, f_cldfra_sh, f_qc_cu, f_qi_cu, f_udr, f_ddr, f_uer, f_der
      enumerator :: f_end ! one more than what a state file has
   end enum
   integer, parameter :: profiles = f_end - 1
   integer, parameter :: f_t = profiles + 1 ! temperature is made anew in each step
   integer, parameter :: f_rqvf = profiles + 2
   integer, parameter :: f_aerosol = profiles + 2 ! and ten fields that only WRF's aerosol option uses
   integer, parameter :: all_profiles = f_aerosol + 10

   character(len=name_length), parameter :: profile_names(profiles + 1) = [character(len=name_length) :: &
      "U_PHY", "V_PHY", "TH_PHY", "QVAPOR", "QCLOUD", "QRAIN", "QICE", "QSNOW", "P_HYD", "DZ8W", "RHO", &
      "PI_PHY", "W", "W_MEAN", "W0AVG", "RTHCUTEN", "RQVCUTEN", "RQCCUTEN", "RQRCUTEN", "RQICUTEN", &
      "RQSCUTEN", "RUCUTEN", "RVCUTEN", "CLDFRA_DP", "CLDFRA_SH", "QC_CU", "QI_CU", "UDR_KF", "DDR_KF", &
      "UER_KF", "DER_KF", "T_PHY"]
   character(len=name_length), parameter :: profile_units(profiles + 1) = [character(len=name_length) :: &
      "m s-1", "m s-1", "K", "kg kg-1", "kg kg-1", "kg kg-1", "kg kg-1", "kg kg-1", "Pa", "m", "kg m-3", &
      "1", "m s-1", "m s-1", "m s-1", "K s-1", "s-1", "s-1", "s-1", "s-1", "s-1", &
      "m s-2", "m s-2", "1", "1", "kg kg-1", "kg kg-1", "kg s-1", "kg s-1", "kg s-1", &
      "kg s-1", "K"]

   enum, bind(c)
      enumerator :: s_zol = 1, s_hfx, s_ust, s_pblh, s_xland, s_nca, s_pratec, s_raincv, s_cutop, s_cubot
      enumerator :: s_rainc, s_rain_late, s_moistened, s_active, s_timec, s_ainc, s_more
   end enum
   integer, parameter :: surfaces = s_more - 1

   !> RAIN_LATE is the part of RAINC that fell after the tendencies of a deep column had ended: PRATEC
   !> lives on until the next call. MOISTENED is what the host itself put into the column.
   character(len=name_length), parameter :: surface_names(surfaces) = [character(len=name_length) :: &
      "ZOL", "HFX", "UST", "PBLH", "XLAND", "NCA", "PRATEC", "RAINCV", "CUTOP", "CUBOT", &
      "RAINC", "RAIN_LATE", "MOISTENED", "CU_ACT_FLAG", "TIMEC_KF", "AINC_FRAC"]
   character(len=name_length), parameter :: surface_units(surfaces) = [character(len=name_length) :: &
      "1", "W m-2", "m s-1", "m", "1", "s", "mm s-1", "mm", "1", "1", &
      "mm", "mm", "mm", "1", "s", "1"]

end module standin_fields
