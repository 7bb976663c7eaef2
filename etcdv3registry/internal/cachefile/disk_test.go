// SPDX-License-Identifier: Apache-2.0

package cachefile

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gofrs/flock"
	"github.com/stretchr/testify/require"
)

const eventually, often = 20 * time.Second, 5 * time.Millisecond

func TestOnlyTheOwnerCanReadTheFile(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("no such modes")
	}
	path := newPath(t)
	f := open(t, path, Config{Immediate: true})
	f.Set(greeter, first)
	requireMode(t, path, 0o600)
	requireMode(t, filepath.Dir(path), 0o700)

	require.NoError(t, os.Chmod(path, 0o644)) // as Java creates it
	f.Set(greeter, second)
	requireMode(t, path, 0o600)
}

func requireMode(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, mode, info.Mode().Perm(), path)
}

func TestEntriesOfOthersSurviveASaveAndOwnOnesWin(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	write(t, path, "other=before\n"+"mine=before\n")
	f := open(t, path, Config{Immediate: true})
	f.Set("mine", []string{"now"})
	require.Equal(t, map[string]string{"other": "before", "mine": "now"}, inFile(t, path))

	write(t, path, "other=after\n"+"mine=of another\n"+"new=1\n")
	f.Set("mine too", nil)
	require.Equal(t, map[string]string{"other": "after", "mine": "now", "mine too": "", "new": "1"}, inFile(t, path))
	urls, _, _ := f.Get("other")
	require.Equal(t, []string{"after"}, urls, "what others saved is taken over")

	require.NoError(t, os.Remove(path))
	f.Set("mine too", first)
	require.Len(t, inFile(t, path), 2, "of a file that was removed only the own entries come back")
}

func TestAnUnreadableFileIsOneWarningAndEmpty(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"cut short": "mine=dubbo\\://10.0.0.1\\:20880/x\nother=dubbo\\://10.0.0",
		"malformed": "mine=\\uXYZW\n",
		"binary":    "\x7fELF\x00\x01\\u\xff\x00\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := newPath(t)
			write(t, path, content)
			f := open(t, path, Config{Immediate: true})
			for range 3 {
				_, saved, ok := f.Get("mine")
				require.False(t, ok)
				require.True(t, saved.IsZero())
			}
			f.Set(greeter, first)
			require.Len(t, logs.about("WARN", path), 1)
			require.Equal(t, map[string]string{greeter: joinURLs(first)}, inFile(t, path))
		})
	}
}

func TestAHugeFileIsNotReadAndReplaced(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	write(t, path, "mine=1\n")
	require.NoError(t, os.Truncate(path, maxSize+1))
	f := open(t, path, Config{Immediate: true})
	_, _, ok := f.Get("mine")
	require.False(t, ok)
	f.Set(greeter, first)
	require.Len(t, logs.about("WARN", path), 1)
	require.Equal(t, map[string]string{greeter: joinURLs(first)}, inFile(t, path))
}

func TestAnEmptyFileIsNotDamaged(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	write(t, path, "")
	_, _, ok := open(t, path, Config{}).Get(greeter)
	require.False(t, ok)
	require.Empty(t, logs.about("WARN", path))
}

func TestAFileThatGoesBadIsSavedAnewWithWhatWasRead(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	write(t, path, "other=1\n")
	f := open(t, path, Config{Immediate: true})
	f.Set("mine", []string{"1"})
	write(t, path, "other=1\nmi") // Java writes in place
	f.Set("mine", []string{"2"})
	require.Equal(t, map[string]string{"other": "1", "mine": "2"}, inFile(t, path))
	require.Len(t, logs.about("WARN", path), 1)
}

func TestWhatIsNoRegularFileIsLeftAlone(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	require.NoError(t, os.MkdirAll(path, 0o700))
	f := Open(path, Config{Immediate: true})
	_, _, ok := f.Get(greeter)
	require.False(t, ok)
	f.Set(greeter, first)
	f.Close()
	require.DirExists(t, path)
	require.NoFileExists(t, path+".lock")
	warnings := logs.about("WARN", path)
	require.Len(t, warnings, 2, "one of reading, one of saving: %q", warnings)
}

func TestSavingThroughALinkKeepsTheLink(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	target := filepath.Join(filepath.Dir(path), "target")
	write(t, target, "other=1\n")
	if err := os.Symlink(target, path); err != nil {
		t.Skip(err)
	}
	open(t, path, Config{Immediate: true}).Set("mine", nil)
	require.Equal(t, map[string]string{"other": "1", "mine": ""}, inFile(t, target))
	info, err := os.Lstat(path)
	require.NoError(t, err)
	require.NotZero(t, info.Mode()&os.ModeSymlink)
}

// Somebody may have put it there to have another file replaced.
func TestALinkOutOfTheDirectoryIsNotWrittenThrough(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{"a file": "other=1\n", "nothing": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := newPath(t)
			require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
			target := filepath.Join(t.TempDir(), "target")
			if content != "" {
				require.NoError(t, os.WriteFile(target, []byte(content), 0o644))
			}
			if err := os.Symlink(target, path); err != nil {
				t.Skip(err)
			}
			f := Open(path, Config{Immediate: true})
			f.Set("mine", nil)
			f.Close()
			found, _ := os.ReadFile(target)
			require.Equal(t, content, string(found))
			require.NoFileExists(t, path+".lock")
			require.Len(t, logs.about("WARN", path), 1)
		})
	}
}

func TestSavingWorksAgainWhenTheDirectoryDoes(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	obstacle := filepath.Dir(path)
	write(t, obstacle, "a file where the directory should be")
	f := open(t, path, Config{Immediate: true, Delay: 10 * time.Millisecond})
	f.Set(greeter, first)
	urls, _, ok := f.Get(greeter)
	require.True(t, ok)
	require.Equal(t, first, urls, "from memory")
	for range 100 {
		f.Set(greeter, second)
		f.Set(greeter, first)
	}
	requireSaveWarnings(t, path, 1)

	require.NoError(t, os.Remove(obstacle))
	f.Set(greeter, second)
	require.Eventually(t, func() bool { return len(logs.about("INFO", path)) == 1 }, eventually, often)
	require.Equal(t, map[string]string{greeter: second[0]}, inFile(t, path))
	requireSaveWarnings(t, path, 1)
}

func requireSaveWarnings(t *testing.T, path string, n int) {
	t.Helper()
	var found []string
	for _, l := range logs.about("WARN", path) {
		if strings.Contains(l, "cannot be saved") {
			found = append(found, l)
		}
	}
	require.Len(t, found, n)
}

func TestAHeldLockBlocksNobody(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	write(t, path, "")
	lock := flock.New(path + ".lock")
	locked, err := lock.TryLock()
	require.NoError(t, err)
	require.True(t, locked)

	f := open(t, path, Config{Immediate: true})
	begun := time.Now()
	f.Set(greeter, first)
	urls, _, _ := f.Get(greeter)
	require.Equal(t, first, urls)
	require.Less(t, time.Since(begun), 5*time.Second)
	require.Empty(t, inFile(t, path))

	require.NoError(t, lock.Unlock())
	require.Eventually(t, func() bool { return len(inFile(t, path)) == 1 }, eventually, often)
	require.Empty(t, logs.about("WARN", path))
}

func TestAFileThatCouldNotBeReadAgainIsNotWritten(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	f := Open(path, Config{Immediate: true})
	f.Set(greeter, first)
	f.Set("huge", []string{strings.Repeat("x", maxSize)})
	f.Close()
	require.Equal(t, map[string]string{greeter: joinURLs(first)}, inFile(t, path))
	requireSaveWarnings(t, path, 1)
}

func TestLeftoversOfACrashAreRemoved(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	abandoned, fresh, alien := path+".123.tmp", path+".456.tmp", path+".bak"
	for _, p := range []string{abandoned, fresh, alien} {
		write(t, p, "x")
	}
	longAgo := time.Now().Add(-time.Hour)
	for _, p := range []string{abandoned, alien} {
		require.NoError(t, os.Chtimes(p, longAgo, longAgo))
	}
	open(t, path, Config{Immediate: true}).Set(greeter, first)
	require.NoFileExists(t, abandoned)
	require.FileExists(t, fresh, "somebody may be writing it")
	require.FileExists(t, alien)
}
