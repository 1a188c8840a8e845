//! The program: everything is in the library.

/// The maps of a network's layers are many megabytes each and come and go all the time: memory is kept, instead of being given
/// back to the system and cleared by it every time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    zscape::cli::main()
}
