/* exp and erf on vectors, for any vector width. The coefficients are near-minimax fits of our own. */

/* e^x = 2^n e^r with |r| <= ln(2)/2: returns e^r = 1 + r + r^2 p(r), p of degree 4 (error 3e-9). */
WEFT_INLINE vf v_exp_parts(vf x, vf *n) {
    *n = vf_round(vf_mul(x, vf_set(1.44269504088896341f)));
    vf r = vf_fnma(*n, vf_set(0.693359375f), x); /* ln 2 in two parts; the first one times n is exact */
    r = vf_fnma(*n, vf_set(-2.12194440054690583e-4f), r);
    vf p = vf_fma(vf_set(0.0013950599823147058f), r, vf_set(0.008368954062461853f));
    p = vf_fma(p, r, vf_set(0.04166620597243309f));
    p = vf_fma(p, r, vf_set(0.166665181517601f));
    p = vf_fma(p, r, vf_set(0.5f));
    return vf_add(vf_fma(p, vf_mul(r, r), r), vf_set(1));
}

/* e^x within 1.5 ulp; 0, subnormals, infinity and NaN as expf gives them. */
WEFT_INLINE vf v_exp(vf x) {
    vf n, p = v_exp_parts(vf_min(vf_set(89), vf_max(vf_set(-104), x)), &n); /* past these e^x is infinite, and zero */
    return vf_scale2(p, n);
}

/* The same for x <= 0, shorter: what would be below the normal numbers (x < -87) is 0. */
WEFT_INLINE vf v_exp_down(vf x) {
    vf n, p = v_exp_parts(vf_max(vf_set(-87), x), &n);
    return vf_if_less(x, vf_set(-87), vf_zero(), vf_scale2_normal(p, n));
}

/* 2^x for x <= 0 with an error of 3e-6, for weights that are rounded to 15 bits; below -126 it is less than 1e-37. */
WEFT_INLINE vf v_exp2_down(vf x) {
    x = vf_max(vf_set(-126), x);
#ifdef HAVE_SCALE2_FLOOR
    vf f = vf_fraction(x); /* from the next lower integer: 1 + f p(f) */
    vf p = vf_fma(vf_set(0.013426685705780983f), f, vf_set(0.052242472767829895f));
    p = vf_fma(p, f, vf_set(0.2412802129983902f));
    p = vf_fma(p, f, vf_set(0.6930448412895203f));
    return vf_scale2_floor(vf_fma(p, f, vf_set(1)), x);
#else
    vf n = vf_round(x), f = vf_sub(x, n);
    vf p = vf_fma(vf_set(0.009570101276040077f), f, vf_set(0.05591786280274391f));
    p = vf_fma(p, f, vf_set(0.240247443318367f));
    p = vf_fma(p, f, vf_set(0.6931217908859253f));
    return vf_scale2_normal(vf_fma(p, f, vf_set(0.9999992847442627f)), n);
#endif
}

/* erf(x), relative error about 1e-7. Below 1: x p(x^2), degree 6 (error 1e-9). From 1 on: 1 - e^q(|x|), where q is a
 * fit of log(erfc) of degree 6 (error 1e-9); past 4 the f32 value is 1. */
WEFT_INLINE vf v_erf(vf x) {
    vf a = vf_min(vf_set(4), vf_abs(x)), u = vf_mul(a, a);
    vf p = vf_fma(vf_set(7.889119297033176e-05f), u, vf_set(-0.0008020841050893068f));
    p = vf_fma(p, u, vf_set(0.005189535208046436f));
    p = vf_fma(p, u, vf_set(-0.026854444295167923f));
    p = vf_fma(p, u, vf_set(0.11283600330352783f));
    p = vf_fma(p, u, vf_set(-0.3761262595653534f));
    p = vf_mul(vf_fma(p, u, vf_set(1.1283791065216064f)), a);
    vf q = vf_fma(vf_set(0.0001855748996604234f), a, vf_set(-0.0029396156314760447f));
    q = vf_fma(q, a, vf_set(0.021805351600050926f));
    q = vf_fma(q, a, vf_set(-0.10303743183612823f));
    q = vf_fma(q, a, vf_set(-0.6382256150245667f));
    q = vf_fma(q, a, vf_set(-1.1270400285720825f));
    q = vf_fma(q, a, vf_set(-0.00035370892146602273f));
    vf large = vf_sub(vf_set(1), v_exp(q));
    return vf_copysign(vf_if_less(a, vf_set(1), p, large), x);
}
