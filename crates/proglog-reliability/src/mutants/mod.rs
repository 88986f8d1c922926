//! Mutants of the product's code, made and tried by cargo-mutants: one operator is another one, a function
//! returns something plain, an arm of a match is missing. A mutant is caught if a test of its package
//! fails; one that survives shows what no test looks at.

pub(crate) mod lab;
pub(crate) mod survivors;
