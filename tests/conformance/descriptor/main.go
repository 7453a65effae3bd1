// Prints the published CSI descriptor, as a serialized google.protobuf.FileDescriptorProto, so
// that test_csi_descriptor.py can hold ebb's own csi.proto against it.
package main

import (
	"log"
	"os"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
)

func main() {
	file := (&csi.Volume{}).ProtoReflect().Descriptor().ParentFile()
	serialized, err := proto.Marshal(protodesc.ToFileDescriptorProto(file))
	if err != nil {
		log.Fatalf("marshal %s: %v", file.Path(), err)
	}
	if _, err := os.Stdout.Write(serialized); err != nil {
		log.Fatalf("write: %v", err)
	}
}
