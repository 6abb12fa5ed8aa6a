package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// compose loads a compose file as docker compose does, with its schema, and looks whether the files that it mounts exist.
func compose(file string) (string, error) {
	options, err := cli.NewProjectOptions([]string{file}, cli.WithInterpolation(true), cli.WithResolvedPaths(true))
	if err != nil {
		return "", err
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		return "", err
	}
	for _, service := range project.Services {
		for _, v := range service.Volumes {
			if v.Type != types.VolumeTypeBind {
				continue
			}
			if found, _ := filepath.Glob(v.Source); len(found) == 0 {
				return "", fmt.Errorf("%s: mounts %s, which is not there", service.Name, v.Source)
			}
		}
	}
	return fmt.Sprintf("%d services are well formed", len(project.Services)), nil
}
