package logger

import (
	"encoding/binary"
	"hash/crc32"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// The fields of tensorflow's Event, Summary, Summary.Value, SummaryMetadata and TensorProto that are written here.
const (
	eventWallTime    = 1 // double
	eventStep        = 2 // int64
	eventFileVersion = 3 // string
	eventSummary     = 5 // Summary

	summaryValue = 1 // repeated Summary.Value

	valueTag      = 1 // string
	valueSimple   = 2 // float
	valueTensor   = 8 // TensorProto
	valueMetadata = 9 // SummaryMetadata

	metadataPlugin = 1 // SummaryMetadata.PluginData
	pluginName     = 1 // string

	tensorDType  = 1 // DataType
	tensorShape  = 2 // TensorShapeProto
	tensorString = 8 // repeated bytes
	shapeDim     = 2 // repeated TensorShapeProto.Dim
	dimSize      = 1 // int64

	typeString = 7 // DataType.DT_STRING
)

// versionEvent is the first of every event file.
func versionEvent(wall float64) []byte {
	b := appendDouble(nil, eventWallTime, wall)
	return appendText(b, eventFileVersion, "brain.Event:2")
}

func summaryEvent(wall float64, step int64, values [][]byte) []byte {
	var summary []byte
	for _, v := range values {
		summary = appendMessage(summary, summaryValue, v)
	}
	b := appendDouble(nil, eventWallTime, wall)
	b = appendNumber(b, eventStep, step)
	return appendMessage(b, eventSummary, summary)
}

func scalarValue(tag string, v float64) []byte {
	b := appendText(nil, valueTag, tag)
	b = protowire.AppendTag(b, valueSimple, protowire.Fixed32Type)
	return protowire.AppendFixed32(b, math.Float32bits(float32(v)))
}

// textValue is a string tensor of one element, for TensorBoard's text plugin.
func textValue(tag, text string) []byte {
	shape := appendMessage(nil, shapeDim, appendNumber(nil, dimSize, 1))
	tensor := appendNumber(nil, tensorDType, typeString)
	tensor = appendMessage(tensor, tensorShape, shape)
	tensor = appendText(tensor, tensorString, text)
	plugin := appendText(nil, pluginName, "text")
	b := appendText(nil, valueTag, tag)
	b = appendMessage(b, valueTensor, tensor)
	return appendMessage(b, valueMetadata, appendMessage(nil, metadataPlugin, plugin))
}

func appendDouble(b []byte, field protowire.Number, v float64) []byte {
	return protowire.AppendFixed64(protowire.AppendTag(b, field, protowire.Fixed64Type), math.Float64bits(v))
}

func appendNumber(b []byte, field protowire.Number, v int64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), uint64(v))
}

func appendText(b []byte, field protowire.Number, v string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), v)
}

func appendMessage(b []byte, field protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), v)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// masked is the checksum of TFRecord: CRC-32C, turned by 15 bits, plus a constant, so that checksums of data that holds
// checksums stay sound.
func masked(data []byte) uint32 {
	c := crc32.Checksum(data, castagnoli)
	return (c>>15 | c<<17) + 0xa282ead8
}

// appendRecord adds a record in its frame: its length, the length's checksum, itself, its checksum.
func appendRecord(b, data []byte) []byte {
	at := len(b)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(data)))
	b = binary.LittleEndian.AppendUint32(b, masked(b[at:]))
	b = append(b, data...)
	return binary.LittleEndian.AppendUint32(b, masked(data))
}
