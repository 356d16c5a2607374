"""Write src/gen from the descriptors of the PyPI package xds-protos: `make gen`.

The package holds Envoy's API as compiled Python modules. Each root of roots.txt and what it imports becomes one
CodeGeneratorRequest for protoc-gen-es, the way protoc itself would call the plugin.
"""
import importlib
import pathlib
import subprocess
import sys

from google.protobuf import descriptor_pb2
from google.protobuf.compiler import plugin_pb2

OPTIONS = "target=ts,import_extension=ts,erasable_syntax=true,json_types=true"
# protobuf-es ships these itself (@bufbuild/protobuf/wkt).
SHIPPED = "google/protobuf/"


def lower_camel(name: str) -> str:
    """protoc's rule for json_name: drop underscores, capitalise the letter behind each."""
    out, up = [], False
    for c in name:
        if c == "_":
            up = True
        else:
            out.append(c.upper() if up else c)
            up = False
    return "".join(out)


def fill_json_names(message: descriptor_pb2.DescriptorProto) -> None:
    """The compiled modules drop json_name where it is the default; the plugin wants it spelled out."""
    for field in [*message.field, *message.extension]:
        if not field.json_name:
            field.json_name = lower_camel(field.name)
    for nested in message.nested_type:
        fill_json_names(nested)


def main() -> None:
    here = pathlib.Path(__file__).parent
    out, plugin = pathlib.Path(sys.argv[1]), sys.argv[2:]
    roots = [line for line in (here / "roots.txt").read_text().splitlines() if line and not line.startswith("#")]
    files: dict[str, descriptor_pb2.FileDescriptorProto] = {}

    def visit(descriptor) -> None:
        if descriptor.name in files:
            return
        for dependency in descriptor.dependencies:
            visit(dependency)
        proto = descriptor_pb2.FileDescriptorProto()
        descriptor.CopyToProto(proto)
        for message in proto.message_type:
            fill_json_names(message)
        for field in proto.extension:
            if not field.json_name:
                field.json_name = lower_camel(field.name)
        files[descriptor.name] = proto

    for root in roots:
        visit(importlib.import_module(root.removesuffix(".proto").replace("/", ".") + "_pb2").DESCRIPTOR)

    request = plugin_pb2.CodeGeneratorRequest(parameter=OPTIONS)
    request.file_to_generate.extend(sorted(name for name in files if not name.startswith(SHIPPED)))
    request.proto_file.extend(files.values())
    answer = subprocess.run(plugin, input=request.SerializeToString(), stdout=subprocess.PIPE, check=True).stdout
    response = plugin_pb2.CodeGeneratorResponse.FromString(answer)
    if response.error:
        sys.exit(f"protoc-gen-es: {response.error}")
    for file in response.file:
        path = out / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file.content)
    print(f"{len(response.file)} files in {out}")


main()
