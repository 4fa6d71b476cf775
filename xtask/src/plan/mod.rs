//! Decisions: pure functions from facts to steps, each with its reason. They open no file, run no
//! process and read no clock.
