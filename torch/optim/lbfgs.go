package optim

// LBFGS comes with its line search.
type LBFGS struct{ Base }
