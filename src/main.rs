//! The binary `throng`: hands the command line to [`throng::cli`], and its exit code back.

use std::process::ExitCode;

fn main() -> ExitCode {
    throng::cli::main()
}
