package migrate

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
)

// clusterFile is EMQX's configuration in an export, as far as it was changed while EMQX ran.
const clusterFile = "cluster.hocon"

// Limits of an archive: what is larger was made to be.
const (
	maxExpansion    = 200 // how much larger its files may be than itself
	freeExpansion   = 64 << 20
	maxArchiveFiles = 10_000
)

// readExport hands over the files of an archive, by their names below its one directory. Nothing is written anywhere, and
// of what each leaves, nothing is kept.
func readExport(file string, each func(name string, r io.Reader) error) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrExport, err)
	}
	files := tar.NewReader(&bounded{r: z, left: info.Size()*maxExpansion + freeExpansion})
	root := ""
	for n := 0; ; n++ {
		head, err := files.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrExport, err)
		}
		if n >= maxArchiveFiles {
			return fmt.Errorf("%w: it has more than %d files", ErrExport, maxArchiveFiles)
		}
		dir, name, err := within(head.Name)
		switch {
		case err != nil:
			return err
		case head.Typeflag == tar.TypeDir:
			continue
		case head.Typeflag != tar.TypeReg:
			return fmt.Errorf("%w: %q in it is neither a file nor a directory", ErrExport, head.Name)
		case root != "" && dir != root:
			return fmt.Errorf("%w: it has two directories, %q and %q", ErrExport, root, dir)
		}
		root = dir
		if err := each(name, files); err != nil {
			return err
		}
	}
}

// within splits a name into the archive's directory and what is below it.
func within(name string) (dir, rest string, err error) {
	clean := path.Clean(name)
	dir, rest, _ = strings.Cut(clean, "/")
	if path.IsAbs(clean) || dir == ".." || strings.ContainsAny(clean, "\\\x00") || strings.Contains("/"+name+"/", "/../") {
		return "", "", fmt.Errorf("%w: it has a file outside of itself, %q", ErrExport, name)
	}
	return dir, rest, nil
}

// bounded reads no more than what is left.
type bounded struct {
	r    io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errors.New("its files are more than 200 times its size")
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}
