package data

// SeedOf is for the test of row 33.
var SeedOf = seedOf
