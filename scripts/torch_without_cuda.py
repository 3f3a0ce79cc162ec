#!/usr/bin/env python3
"""Lets `import torch` work where the CUDA libraries of the wheel are not installed.

The wheel of torch is one for machines with and without a GPU: its Python module is linked with
cuBLAS, cuDNN, NCCL and others, 2.7 GB of wheels that a CPU never calls. For every such library
that the loader cannot find, this program writes a small stand-in beside torch's own libraries:
the functions that torch names exist, and calling one ends the process with its name. A library
that is there is left alone. The C++ build does not need this; it links libtorch_cpu and libc10.

usage: torch_without_cuda.py [FOLDER OF THE TORCH PACKAGE]
"""

import collections
import importlib.util
import pathlib
import re
import subprocess
import sys
import tempfile

# libtorch_cpu calls these two: they must be real.
REQUIRED = ("libcudart.so.13", "libcupti.so.13")


def output_of(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def missing_libraries(libraries):
    missing = set()
    for library in libraries:
        for line in output_of("ldd", str(library)).splitlines():
            match = re.match(r"\s*(\S+) => not found", line)
            if match:
                missing.add(match[1])
    # Loaded only when CUDA is used, from the driver.
    missing.discard("libcuda.so.1")
    return sorted(missing)


def version_files(library):
    """Symbol version -> the library it is required from."""
    result, current = {}, None
    for line in output_of("objdump", "-p", str(library)).splitlines():
        match = re.match(r"\s+required from (\S+):", line)
        if match:
            current = match[1]
        elif current and re.match(r"\s+0x", line):
            result[line.split()[-1]] = current
        else:
            current = None
    return result


def wanted_symbols(libraries, missing):
    """Library -> version ('' for none) -> names of functions."""
    wanted = {name: collections.defaultdict(set) for name in missing}
    for library in libraries:
        files = version_files(library)
        for line in output_of("nm", "-D", "--undefined-only", str(library)).splitlines():
            kind, symbol = line.split()[:2]
            name, _, version = symbol.partition("@")
            if version:
                if files.get(version.lstrip("@")) in wanted:
                    wanted[files[version.lstrip("@")]][version.lstrip("@")].add(name)
                continue
            if kind != "U":
                continue
            for soname in missing:  # "libcufile.so.0" has the functions that begin with "cuFile".
                if name.lower().startswith(soname[3:].split(".so")[0].lower()):
                    wanted[soname][""].add(name)
    return wanted


def write_stand_in(folder, soname, versions):
    lines = [
        "#include <stdio.h>",
        "#include <stdlib.h>",
        "static void stop(const char* name) {",
        f'  fprintf(stderr, "%s was called, but {soname} is a stand-in here\\n", name);',
        "  abort();",
        "}",
    ]
    script = []
    for version, names in sorted(versions.items()):
        lines += [f'void {name}(void) {{ stop("{name}"); }}' for name in sorted(names)]
        if version:
            script.append(f"{version} {{ global: {' '.join(n + ';' for n in sorted(names))} }};")
    with tempfile.TemporaryDirectory() as scratch:
        source = pathlib.Path(scratch, "stand_in.c")
        source.write_text("\n".join(lines) + "\n")
        map_file = pathlib.Path(scratch, "versions.map")
        map_file.write_text("\n".join(script) + "\n")
        output_of("gcc", "-shared", "-fPIC", "-O1", "-w", f"-Wl,-soname,{soname}",
                  *([f"-Wl,--version-script={map_file}"] if script else []),
                  "-o", str(folder / soname), str(source))


def main():
    if len(sys.argv) > 1:
        package = pathlib.Path(sys.argv[1])
    else:
        package = pathlib.Path(importlib.util.find_spec("torch").submodule_search_locations[0])
    folder = package / "lib"
    libraries = sorted(folder.glob("libtorch*.so")) + sorted(folder.glob("libc10*.so"))
    missing = missing_libraries(libraries)
    for soname in REQUIRED:
        if soname in missing:
            sys.exit(f"{soname} is not installed\n  fix: pip install nvidia-cuda-runtime==13.0.* "
                     "nvidia-cuda-cupti==13.0.*")
    for soname, versions in wanted_symbols(libraries, missing).items():
        write_stand_in(folder, soname, versions)
        print(f"stand-in for {soname}: {sum(map(len, versions.values()))} functions")


if __name__ == "__main__":
    main()
