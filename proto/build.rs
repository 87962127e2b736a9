//! Compiles the `.proto` files with protox, so that no system `protoc` is needed.

use std::path::{Path, PathBuf};
use std::{env, error::Error, fs, io};

use prost::Message as _;

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new("proto");
    println!("cargo:rerun-if-changed={}", root.display());

    let mut files = Vec::new();
    collect_protos(root, &mut files)?;
    files.sort();
    let descriptors = protox::compile(&files, [root])?;

    let out_dir = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(
        out_dir.join("gochat_descriptor.bin"),
        descriptors.encode_to_vec(),
    )?;

    tonic_prost_build::configure()
        .build_client(true)
        .build_server(true)
        // Clients stay generic over a tower service: the embedded profile calls in process.
        .build_transport(false)
        // Shared buffers instead of copies, wherever a field is `bytes`.
        .bytes(".")
        .compile_fds(descriptors)?;
    Ok(())
}

/// Appends every `.proto` file below `dir`, so that a new file needs no line here.
fn collect_protos(dir: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            collect_protos(&path, files)?;
        } else if path
            .extension()
            .is_some_and(|extension| extension == "proto")
        {
            files.push(path);
        }
    }
    Ok(())
}
