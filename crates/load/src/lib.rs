//! A load engine: shapes, open and closed loops, histograms that merge.
