// Scouts look at every area at once; each file that they name is mended and then tested, without one
// file waiting for another. Needs `pip install '.[scripts]'`; the commands stand in for agents:
//     wfledger run examples/scripts/sweep.workflow.js --args '{"areas": ["api", "store"]}'
export default async function (args) {
  phase("Scouts");
  const found = await parallel(args.areas.map((area) => () => task({
    label: `scout ${area}`,
    command: `echo '{"status": "succeeded", "outputs": {"files": ["${area}.txt"]}}' > "$WFLEDGER_RESULT_FILE"`,
    returns: "outputs",
  })));
  const files = found.filter(Boolean).flatMap((one) => one.files);
  log(`${files.length} files`);
  phase("Fix");
  await pipeline(files,
    (file) => task({ label: `mend ${file}`, command: ["sh", "-c", `echo mended > ${file}`], exactFiles: [file] }),
    (_, file) => task({ label: `test ${file}`, command: ["grep", "-q", "mended", file] }));
  return files;
}
