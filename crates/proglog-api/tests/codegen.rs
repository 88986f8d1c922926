//! Comparison of the committed code with what the proto file generates.
//!
//! Users of the crate need no protobuf compiler, because the generated code is committed. After a
//! change to `proto/log/v1/log.proto`, regenerate it with
//!
//! ```text
//! PROGLOG_REGENERATE=1 cargo test -p proglog-api --test codegen
//! ```
//!
//! before changing code that needs it: this test links the crate, which must compile.

use std::{env, fs, path::Path};

use prost_build::Module;

const COMMAND: &str = "PROGLOG_REGENERATE=1 cargo test -p proglog-api --test codegen";

/// Generates the code for `log/v1/log.proto` with protox, without `protoc`.
fn generate(crate_dir: &Path) -> String {
    let descriptors = protox::compile(["log/v1/log.proto"], [crate_dir.join("proto")])
        .expect("the proto file compiles");
    let files = descriptors
        .file
        .into_iter()
        .map(|file| (Module::from_protobuf_package_name(file.package()), file))
        .collect();
    let mut config = prost_build::Config::new();
    config.bytes(["."]);
    // prost derives these only for messages without repeated and message fields.
    for message in ["Record", "ProduceRequest", "ConsumeResponse"] {
        config.type_attribute(format!(".log.v1.{message}"), "#[derive(Eq, Hash)]");
    }
    let modules = config.generate(files).expect("prost generates code");
    modules
        .into_values()
        .next()
        .expect("one package, so one file")
}

#[test]
fn committed_code_is_what_the_proto_generates() {
    let crate_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let committed = crate_dir.join("src/v1/log.v1.rs");
    let generated = generate(crate_dir);
    if env::var_os("PROGLOG_REGENERATE").is_some_and(|value| value == "1") {
        fs::write(&committed, generated).unwrap();
    } else {
        // Not `assert_eq`, which would print both files. Once regenerated, git has the diff.
        let fresh = fs::read_to_string(&committed).is_ok_and(|committed| committed == generated);
        assert!(
            fresh,
            "src/v1/log.v1.rs is stale; regenerate it with\n\n    {COMMAND}\n"
        );
    }
}
