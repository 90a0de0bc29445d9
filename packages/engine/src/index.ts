export { createParameter, elementCount, type Parameter, type ParameterMap } from './parameter.ts'
