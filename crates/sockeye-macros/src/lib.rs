//! sockeye-macros
