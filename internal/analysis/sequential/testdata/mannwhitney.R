# Makes mannwhitney.tsv with R's own wilcox.test, whose asymptotic interval
# Kayenta's judge follows:
#
#   Rscript mannwhitney.R > mannwhitney.tsv
#
# Columns: name, confidence, x, y, W, p (asymptotic, corrected), exact p (NA with ties
# or many values), ends of the interval and the estimate of the shift x - y. R finds
# the last three by a root search with a tolerance of 1e-4.
set.seed(20)
options(digits = 15)
show <- function(v) paste(formatC(as.numeric(v), digits = 15, format = "g", width = -1), collapse = ",")
row <- function(name, x, y) {
  for (conf in c(0.95, 0.98)) {
    a <- suppressWarnings(wilcox.test(x, y, exact = FALSE, correct = TRUE, conf.int = TRUE, conf.level = conf))
    e <- NA
    if (!anyDuplicated(c(x, y)) && length(x) <= 20 && length(y) <= 20) e <- wilcox.test(x, y, exact = TRUE)$p.value
    cat(name, conf, show(x), show(y), a$statistic, show(a$p.value), show(e), show(a$conf.int[1]), show(a$conf.int[2]), show(a$estimate), sep = "\t")
    cat("\n")
  }
}
cat("#", R.version.string, "\n")
row("three against three", c(10, 11, 12), c(1, 2, 3))
row("four against four, ten times as much", c(10, 20, 30, 40), c(1, 2, 3, 4))
row("five against four, unequal numbers", c(19, 22, 16, 29, 24), c(20, 11, 17, 12))
row("ten, no ties", round(rnorm(10, 10, 2), 6), round(rnorm(10, 10, 2), 6))
row("fifteen, shifted", round(rnorm(15, 12, 2), 6), round(rnorm(15, 10, 2), 6))
row("twenty against twelve, skewed", round(rexp(20), 6), round(rexp(12, 2), 6))
row("thirty", round(rnorm(30, 10, 1), 6), round(rnorm(30, 10, 1), 6))
row("thirty, twice as high", round(rnorm(30, 20, 3), 6), round(rnorm(30, 10, 3), 6))
row("sixty, a lower canary", round(rnorm(60, 9, 1), 6), round(rnorm(60, 10, 1), 6))
row("two hundred against one hundred and fifty", round(rlnorm(200, 0, 0.5), 6), round(rlnorm(150, 0.1, 0.5), 6))
row("ties: small counts", rpois(12, 2), rpois(12, 3))
row("ties: two values", c(0, 0, 0, 1, 1, 0, 1, 0), c(1, 1, 0, 1, 1, 1, 0, 1))
row("ties: mostly zero error rates", c(rep(0, 20), 0.01, 0.02, 0.01, 0.03, 0.02, 0.01, 0.02, 0.05, 0.01, 0.02), c(rep(0, 25), 0.01, 0.01, 0.02, 0.01, 0.01))
row("ties: no difference", c(5, 5, 6, 7, 7, 8), c(5, 6, 6, 7, 8, 8))
row("ties: two hundred counts", rpois(200, 5), rpois(200, 6))
row("ties: latencies in milliseconds", round(rlnorm(40, 5, 0.3), -1), round(rlnorm(40, 5.2, 0.3), -1))
row("negative values", round(rnorm(12, -3, 2), 4), round(rnorm(9, 1, 2), 4))
row("of very different size", round(rnorm(8, 1e6, 1e5)), round(rnorm(40, 1.2e6, 1e5)))
