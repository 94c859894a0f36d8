//! The `tidewheel` command: windows over files and streams, from a terminal or a script.

mod cli;

fn main() -> std::process::ExitCode {
    #[cfg(feature = "failpoints")]
    tidewheel::fault::begin();
    cli::run()
}
