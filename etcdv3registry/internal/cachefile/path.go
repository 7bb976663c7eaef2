// SPDX-License-Identifier: Apache-2.0

package cachefile

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"unicode"
)

// maxStem keeps the file's name, with room for ".lock" and a temporary file's
// ending, within the 255 bytes that file systems allow.
const maxStem = 200

// DefaultPath is where Dubbo for Java keeps the cache file:
//
//	~/.dubbo/dubbo-registry-<application>-<address>.cache
//
// with every ":" of the address, host:port, replaced by "-". What some operating
// system does not allow in a file name is replaced as well, and a name too long
// ends with its hash.
func DefaultPath(application, address string) (string, error) {
	home, err := homeDir()
	if err != nil {
		return "", fmt.Errorf("find the home directory for the cache file (the parameter file names another place): %w", err)
	}
	stem := fileName("dubbo-registry-" + application + "-" + address)
	if len(stem) > maxStem {
		sum := sha256.Sum256([]byte(stem))
		stem = strings.ToValidUTF8(stem[:maxStem-17], "") + "-" + hex.EncodeToString(sum[:8])
	}
	return filepath.Join(home, ".dubbo", stem+".cache"), nil
}

// homeDir asks the environment, then the user database, as a container may
// have no HOME.
func homeDir() (string, error) {
	home, err := os.UserHomeDir()
	if err == nil {
		return home, nil
	}
	if u, userErr := user.Current(); userErr == nil && u.HomeDir != "" {
		return u.HomeDir, nil
	}
	return "", err
}

func fileName(s string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(`<>:"/\|?* `, r) || r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return '-'
		}
		return r
	}, s)
}
