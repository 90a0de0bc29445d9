export { checkCommandLine } from './check-command-line.ts'
