!> The convection scheme with WRF's own arguments, by libsciml_mskf: for hosts that change one
!> `use` than link with --wrap.
!>
!> `use sciml_cu_mskf, only: mskf_cps` in the place of `use module_cu_mskf, only: mskf_cps` redirects
!> the calls to the library, which runs the mode of its namelist (see sciml_mskf_scheme in
!> sciml_mskf.h). Its modes that run the host's own scheme need to know it: call
!> sciml_mskf_original(c_funloc(the_scheme)) before the first step, or link the executable so that
!> it exports the scheme's name (`sciml coupling flags`).
module sciml_cu_mskf
   use, intrinsic :: iso_c_binding, only: c_float, c_funptr, c_int32_t
   implicit none(type, external)
   private
   public :: mskf_cps, sciml_mskf_flush, sciml_mskf_original

   interface
      !> WRF's MSKF_CPS (4.3.3 to 4.7): arguments, order, units and meaning are its own.
      subroutine mskf_cps(ids, ide, jds, jde, kds, kde, ims, ime, jms, jme, kms, kme, its, ite, &
         jts, jte, kts, kte, trigger, dt, ktau, dx, cudt, adapt_step_flag, rho, raincv, pratec, &
         nca, u, v, th, t, w, dz8w, pcps, pi, w0avg, xlv0, xlv1, xls0, xls1, cp, r, g, ep1, ep2, &
         svp1, svp2, svp3, svpt0, stepcu, cu_act_flag, warm_rain, cutop, cubot, qv, f_qv, f_qc, &
         f_qr, f_qi, f_qs, rthcuten, rqvcuten, rqccuten, rqrcuten, rqicuten, rqscuten, rqvften, &
         cldfra_dp, cldfra_sh, qc_cu, qi_cu, qr_cu, qs_cu, nc_cu, ni_cu, nr_cu, ns_cu, ccn_cu, &
         ainc_frac, udr, ddr, uer, der, timec, kf_edrates, zol, hfx, ust, pblh, aerocu, &
         no_src_types_cu, aercu_fct, aercu_opt, efcs, efis, efss, rucuten, rvcuten, xland) &
         bind(C, name="sciml_mskf_cps")
         import :: c_float, c_int32_t
         implicit none(type, external)
         integer(c_int32_t), intent(in) :: ids, ide, jds, jde, kds, kde, ims, ime, jms, jme, kms, &
            kme, its, ite, jts, jte, kts, kte, trigger, ktau, stepcu, kf_edrates, no_src_types_cu, &
            aercu_opt
         real(c_float), intent(in) :: dt, dx, cudt, xlv0, xlv1, xls0, xls1, cp, r, g, ep1, ep2, &
            svp1, svp2, svp3, svpt0, aercu_fct
         logical, intent(in) :: warm_rain
         logical, intent(in), optional :: adapt_step_flag, f_qv, f_qc, f_qr, f_qi, f_qs
         real(c_float), dimension(ims:ime, kms:kme, jms:jme), intent(in) :: rho, u, v, th, t, w, &
            dz8w, pcps, pi, qv
         real(c_float), dimension(ims:ime, kms:kme, jms:jme), intent(inout) :: w0avg, rthcuten, &
            rqvcuten, rqccuten, rqrcuten, rqicuten, rqscuten, rqvften, cldfra_dp, cldfra_sh, qc_cu, &
            qi_cu, qr_cu, qs_cu, nc_cu, ni_cu, nr_cu, ns_cu, ccn_cu, udr, ddr, uer, der, efcs, &
            efis, efss, rucuten, rvcuten
         real(c_float), dimension(ims:ime, jms:jme), intent(in) :: zol, hfx, ust, pblh, xland
         real(c_float), dimension(ims:ime, jms:jme), intent(inout) :: raincv, pratec, nca, cutop, &
            cubot, ainc_frac, timec
         logical, dimension(ims:ime, jms:jme), intent(inout) :: cu_act_flag
         real(c_float), dimension(ims:ime, kms:kme, jms:jme, no_src_types_cu), intent(inout), &
            optional :: aerocu
      end subroutine mskf_cps

      !> The host's own scheme, a procedure with the arguments of mskf_cps; before the first call.
      subroutine sciml_mskf_original(scheme) bind(C, name="sciml_mskf_original")
         import :: c_funptr
         implicit none(type, external)
         type(c_funptr), intent(in), value :: scheme
      end subroutine sciml_mskf_original

      !> Write pending captures and statistics; the end of the process does this too.
      subroutine sciml_mskf_flush() bind(C, name="sciml_mskf_flush")
         implicit none(type, external)
      end subroutine sciml_mskf_flush
   end interface

end module sciml_cu_mskf
