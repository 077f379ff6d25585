//! KEDA's scaling formulas: parse, check, evaluate.
