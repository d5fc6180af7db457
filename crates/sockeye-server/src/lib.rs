//! sockeye-server
