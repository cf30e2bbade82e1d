package rundir

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
)

// ErrDamaged is wrapped by the error of [ReadSealed] for a file that is not whole.
var ErrDamaged = errors.New("the file is damaged")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// WriteSealed writes data and its CRC-32C to a file in one step: whoever opens the
// path, also after a crash, finds the old file or the new one, never a part. See [WriteFile].
func WriteSealed(path string, data []byte) error {
	sealed := binary.LittleEndian.AppendUint32(data[:len(data):len(data)], crc32.Checksum(data, castagnoli))
	if err := WriteFile(path, sealed); err != nil {
		return fmt.Errorf("rundir: %w", err)
	}
	return nil
}

// ReadSealed reads what [WriteSealed] wrote. It wraps [ErrDamaged] if the file was
// cut off or changed, and [os.ErrNotExist] if there is none.
func ReadSealed(path string) ([]byte, error) {
	sealed, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("rundir: cannot read %s: %w", path, err)
	}
	n := len(sealed) - crc32.Size
	if n < 0 || crc32.Checksum(sealed[:n], castagnoli) != binary.LittleEndian.Uint32(sealed[n:]) {
		return nil, fmt.Errorf("rundir: cannot use %s, delete it to start again: %w", path, ErrDamaged)
	}
	return sealed[:n], nil
}
