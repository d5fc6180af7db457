//! sockeye-testkit
