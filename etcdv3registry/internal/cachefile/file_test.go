// SPDX-License-Identifier: Apache-2.0

package cachefile

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const greeter = "greet/org.example.Greeter:1.0.0"

var (
	first  = []string{"dubbo://10.0.0.1:20880/org.example.Greeter", "dubbo://10.0.0.2:20880/org.example.Greeter"}
	second = []string{"dubbo://10.0.0.3:20880/org.example.Greeter"}
)

func TestAnotherProcessGetsWhatWasSetAndWhen(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	f := Open(path, Config{})
	_, saved, ok := f.Get(greeter)
	require.False(t, ok)
	require.True(t, saved.IsZero(), "there is no file yet")
	f.Set(greeter, first)
	f.Close()

	hourAgo := time.Now().Add(-time.Hour).Truncate(time.Second)
	require.NoError(t, os.Chtimes(path, hourAgo, hourAgo))
	f = open(t, path, Config{Immediate: true})
	urls, saved, ok := f.Get(greeter)
	require.True(t, ok)
	require.Equal(t, first, urls)
	require.True(t, saved.Equal(hourAgo), "saved at %v, not %v", saved, hourAgo)

	f.Set(greeter, second)
	_, saved, _ = f.Get(greeter)
	require.WithinDuration(t, time.Now(), saved, time.Minute)
}

func TestAServiceWithoutURLsIsKept(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	f := Open(path, Config{})
	f.Set(greeter, nil)
	f.Close()
	require.Equal(t, map[string]string{greeter: ""}, inFile(t, path))

	urls, _, ok := open(t, path, Config{}).Get(greeter)
	require.True(t, ok)
	require.Empty(t, urls)
}

// It is set, and read, while the file is being replaced.
func TestAServiceWithoutURLsThatIsSetDuringASaveIsSavedNext(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	f := Open(path, Config{Delay: time.Hour})
	f.Get(greeter)
	merged := f.merge(map[string]string{}, nil)
	f.Set(greeter, nil)
	f.Get(greeter)
	f.adopt(merged, time.Now())
	f.Close()
	require.Equal(t, map[string]string{greeter: ""}, inFile(t, path))
}

func TestValuesThatAreNoURLsAreReturnedAsTheyAre(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	write(t, path, "a=no \\u0009 url %zz\\u3000${HOME}\n")
	urls, _, ok := open(t, path, Config{}).Get("a")
	require.True(t, ok)
	require.Equal(t, []string{"no", "url", "%zz\u3000${HOME}"}, urls)
}

func TestTheCallerMayChangeWhatItSetAndGot(t *testing.T) {
	t.Parallel()
	f := open(t, newPath(t), Config{})
	urls := []string{"a", "b"}
	f.Set(greeter, urls)
	urls[0] = "changed"
	got, _, _ := f.Get(greeter)
	require.Equal(t, []string{"a", "b"}, got)
	got[0] = "changed"
	got, _, _ = f.Get(greeter)
	require.Equal(t, []string{"a", "b"}, got)
}

func TestMethodsOfNilDoNothing(t *testing.T) {
	t.Parallel()
	var f *File
	f.Set(greeter, first)
	f.SetLater(greeter, nil, func([]string) []string { return first })
	urls, saved, ok := f.Get(greeter)
	require.Empty(t, urls)
	require.Zero(t, saved)
	require.False(t, ok)
	require.Empty(t, f.Path())
	f.Close()
}

func TestOpeningDoesNotTouchTheDisk(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	Open(path, Config{Immediate: true}).Close()
	require.NoDirExists(t, filepath.Dir(path))

	f := open(t, path, Config{})
	write(t, path, "a=1\n")
	_, _, ok := f.Get("a")
	require.True(t, ok, "the file was read before the first Get")
}

func TestGettingDoesNotCreateTheFile(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	f := Open(path, Config{Immediate: true})
	f.Get(greeter)
	f.Close()
	require.NoDirExists(t, filepath.Dir(path))
}

func TestImmediateSavesBeforeSetReturns(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	f := open(t, path, Config{Immediate: true})
	for i := range 10 {
		f.Set(greeter, []string{fmt.Sprint(i)})
		require.Equal(t, map[string]string{greeter: fmt.Sprint(i)}, inFile(t, path))
	}
}

func TestAnUnchangedValueIsNotSaved(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	f := Open(path, Config{})
	f.Set(greeter, first)
	f.Close()
	before, err := os.Stat(path)
	require.NoError(t, err)

	f = Open(path, Config{Immediate: true})
	f.Set(greeter, first)
	f.Close()
	after, err := os.Stat(path)
	require.NoError(t, err)
	require.True(t, os.SameFile(before, after), "the file was replaced")
}

func TestRegistriesOfOnePathShareTheFile(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	f := Open(path, Config{Delay: time.Hour})
	again := Open(filepath.Join(filepath.Dir(path), "x", "..", filepath.Base(path)), Config{Delay: time.Hour})
	other := open(t, path+"2", Config{})
	require.Same(t, f, again)
	require.NotSame(t, f, other)

	f.Set(greeter, first)
	f.Close()
	require.NoFileExists(t, path, "saved by a Close that is not the last")
	again.Set(greeter, second)
	again.Close()
	require.Equal(t, map[string]string{greeter: second[0]}, inFile(t, path))

	again.Close() // one too many
	f.Set(greeter, first)
	require.Equal(t, map[string]string{greeter: second[0]}, inFile(t, path), "Set after the last Close")

	reopened := open(t, path, Config{})
	require.NotSame(t, f, reopened)
	urls, _, _ := reopened.Get(greeter)
	require.Equal(t, second, urls)
}

func TestImmediateHoldsForAllWhoShareTheFile(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	f := open(t, path, Config{Delay: time.Hour})
	open(t, path, Config{Immediate: true})
	f.Set(greeter, first)
	require.Contains(t, inFile(t, path), greeter)
}

func TestManyUseOneFileAtOnce(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for j := range 20 {
				f := Open(path, Config{Immediate: i%4 == 0, Delay: time.Millisecond})
				f.Set(fmt.Sprintf("service%d", i), []string{fmt.Sprint(j)})
				f.Get(fmt.Sprintf("service%d", j))
				f.Close()
			}
		})
	}
	wg.Wait()
	want := map[string]string{}
	for i := range 16 {
		want[fmt.Sprintf("service%d", i)] = "19"
	}
	require.Equal(t, want, inFile(t, path))
	require.Empty(t, logs.about("WARN", path))
	table.mu.Lock()
	defer table.mu.Unlock()
	require.NotContains(t, table.byPath, path)
}

func TestWhatIsSetLaterIsMadeOnceWhenItIsSavedOrRead(t *testing.T) {
	path := newPath(t)
	f := open(t, path, Config{Delay: time.Hour})
	f.Set("s", []string{"tri://a"})
	f.Get("s")
	calls := 0
	with := func(url string) Later {
		return func(saved []string) []string {
			calls++
			return append(saved, url)
		}
	}
	for range 10 {
		f.SetLater("s", 1, with("tri://b"))
	}
	f.SetLater("s", 2, with("tri://c"))
	require.Zero(t, calls)
	urls, _, ok := f.Get("s")
	require.True(t, ok)
	require.ElementsMatch(t, []string{"tri://a", "tri://b", "tri://c"}, urls)
	require.Equal(t, 2, calls)
	f.SetLater("t", nil, with("tri://d"))
	f.Close()
	require.Equal(t, "tri://d", inFile(t, path)["t"])
	require.Equal(t, 3, calls)
}
