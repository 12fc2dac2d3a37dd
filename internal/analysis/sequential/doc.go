// Package sequential holds the statistics of the canary judge: tests and
// bounds that stay valid however often one looks, and the fixed-sample tests of
// planned looks. Everything is a pure function of counts.
//
// The primitive is TwoRate: is the rate of events on one track above an affine
// margin of the other's? Errors, slow requests and lost conversions are all
// events per exposure. Mixture accumulates its evidence over sizes of the
// effect and times of its start; an average of mixtures is still evidence, so
// many tests need no correction (see EBH for which of them to blame).
//
// Sources are named by author and year:
//
//	Howard et al. 2021       Time-uniform, nonparametric, nonasymptotic confidence sequences (Annals of Statistics)
//	Howard & Ramdas 2022     Sequential estimation of quantiles (Bernoulli); library confseq
//	Lindon & Malek 2022      Anytime-valid inference for multinomial count data (NeurIPS)
//	Turner & Grünwald 2023   Safe tests and confidence sequences for 2x2 tables
//	Wang & Ramdas 2022       False discovery rate control with e-values (JRSS B)
//	Waudby-Smith et al. 2024 Time-uniform central limit theory and asymptotic confidence sequences (Annals of Statistics)
package sequential
