//! sockeye-engine
